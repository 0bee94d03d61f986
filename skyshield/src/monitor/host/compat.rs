//! The host under `node_exporter`'s names, labels, types and units, so that its boards and alerts work.

use procfs::DiskStat;
use procfs::net::DeviceStatus;

use super::own::long;
use super::{FileSystem, Host, Link};
use crate::monitor::family::Family;
use crate::monitor::family::Kind::{Counter, Gauge, Untyped};

/// What is counted of an interface.
type Counted = fn(&DeviceStatus) -> u64;

impl Host {
    /// Everything, as `node_…`.
    pub(crate) fn node_families(&self) -> Vec<Family> {
        let mut all = self.node_stat();
        all.extend(self.node_memory());
        all.extend(self.node_disks());
        all.extend(self.node_file_systems());
        all.extend(self.node_links());
        all.extend(self.node_kernel());
        all.extend(self.node_rest());
        all.retain(|family| !family.samples.is_empty());
        all
    }

    fn node_stat(&self) -> Vec<Family> {
        let Some(stat) = &self.stat else { return Vec::new() };
        let by_cpu = |cpu: usize, mode: &str| vec![("cpu", cpu.to_string()), ("mode", mode.to_owned())];
        let cpus = stat.cpu_time.iter().enumerate();
        let modes = cpus
            .clone()
            .flat_map(|(cpu, time)| Self::modes(time).map(|(mode, seconds)| (by_cpu(cpu, mode), seconds)));
        let ticks = long(procfs::ticks_per_second().max(1));
        let guests = cpus.flat_map(|(cpu, time)| {
            [("user", time.guest), ("nice", time.guest_nice)]
                .map(|(mode, count)| (by_cpu(cpu, mode), long(count.unwrap_or(0)) / ticks))
        });
        vec![
            Family::new("node_cpu_seconds_total", Counter, "Seconds the CPUs spent in each mode.")
                .with_all(modes),
            Family::new(
                "node_cpu_guest_seconds_total",
                Counter,
                "Seconds the CPUs spent in guests (VMs) for each mode.",
            )
            .with_all(guests),
            plain(
                "node_context_switches_total",
                Counter,
                "Total number of context switches.",
                Some(long(stat.ctxt)),
            ),
            plain("node_forks_total", Counter, "Total number of forks.", Some(long(stat.processes))),
            plain("node_boot_time_seconds", Gauge, "Node boot time, in unixtime.", Some(long(stat.btime))),
            plain(
                "node_procs_running",
                Gauge,
                "Number of processes in runnable state.",
                stat.procs_running.map(f64::from),
            ),
            plain(
                "node_procs_blocked",
                Gauge,
                "Number of processes blocked waiting for I/O to complete.",
                stat.procs_blocked.map(f64::from),
            ),
        ]
    }

    fn node_memory(&self) -> Vec<Family> {
        let line = |(name, value, is_kilo): &(String, f64, bool)| {
            let (name, value) =
                if *is_kilo { (format!("{name}_bytes"), value * 1024.0) } else { (name.clone(), *value) };
            Family::new(format!("node_memory_{name}"), Gauge, format!("Memory information field {name}."))
                .with(vec![], value)
        };
        let [one, five, fifteen] = self.load.map_or([None; 3], |load| load.map(Some));
        self.memory
            .iter()
            .map(line)
            .chain([
                plain("node_load1", Gauge, "1m load average.", one),
                plain("node_load5", Gauge, "5m load average.", five),
                plain("node_load15", Gauge, "15m load average.", fifteen),
            ])
            .collect()
    }

    fn node_disks(&self) -> Vec<Family> {
        let ms = |count: u64| long(count) / 1000.0;
        let disk = |name: &'static str, help: &'static str, value: &dyn Fn(&DiskStat) -> Option<f64>| {
            let kind = if name == "io_now" { Gauge } else { Counter };
            let values = self.disks.iter().filter_map(|disk| Some((device(&disk.name), value(disk)?)));
            Family::new(format!("node_disk_{name}"), kind, help).with_all(values)
        };
        vec![
            disk("reads_completed_total", "The total number of reads completed successfully.", &|disk| {
                Some(long(disk.reads))
            }),
            disk("reads_merged_total", "The total number of reads merged.", &|disk| Some(long(disk.merged))),
            disk("read_bytes_total", "The total number of bytes read successfully.", &|disk| {
                Some(long(disk.sectors_read) * 512.0)
            }),
            disk("read_time_seconds_total", "The total number of seconds spent by all reads.", &|disk| {
                Some(ms(disk.time_reading))
            }),
            disk("writes_completed_total", "The total number of writes completed successfully.", &|disk| {
                Some(long(disk.writes))
            }),
            disk("writes_merged_total", "The number of writes merged.", &|disk| {
                Some(long(disk.writes_merged))
            }),
            disk("written_bytes_total", "The total number of bytes written successfully.", &|disk| {
                Some(long(disk.sectors_written) * 512.0)
            }),
            disk(
                "write_time_seconds_total",
                "This is the total number of seconds spent by all writes.",
                &|disk| Some(ms(disk.time_writing)),
            ),
            disk("io_now", "The number of I/Os currently in progress.", &|disk| Some(long(disk.in_progress))),
            disk("io_time_seconds_total", "Total seconds spent doing I/Os.", &|disk| {
                Some(ms(disk.time_in_progress))
            }),
            disk("io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os.", &|disk| {
                Some(ms(disk.weighted_time_in_progress))
            }),
            disk(
                "discards_completed_total",
                "The total number of discards completed successfully.",
                &|disk| disk.discards.map(long),
            ),
            disk("discards_merged_total", "The total number of discards merged.", &|disk| {
                disk.discards_merged.map(long)
            }),
            disk("discarded_sectors_total", "The total number of sectors discarded successfully.", &|disk| {
                disk.sectors_discarded.map(long)
            }),
            disk(
                "discard_time_seconds_total",
                "This is the total number of seconds spent by all discards.",
                &|disk| disk.time_discarding.map(ms),
            ),
            disk(
                "flush_requests_total",
                "The total number of flush requests completed successfully",
                &|disk| disk.flushes.map(long),
            ),
            disk(
                "flush_requests_time_seconds_total",
                "This is the total number of seconds spent by all flush requests.",
                &|disk| disk.time_flushing.map(ms),
            ),
        ]
    }

    fn node_file_systems(&self) -> Vec<Family> {
        let mount = |name: &str, help: &'static str, value: fn(&FileSystem) -> f64| {
            let exported = self.file_systems.iter().filter(|found| found.is_exported());
            let values = exported.map(|found| {
                let labels =
                    [("device", &found.device), ("fstype", &found.kind), ("mountpoint", &found.mountpoint)];
                (labels.map(|(name, value)| (name, value.clone())).to_vec(), value(found))
            });
            Family::new(format!("node_filesystem_{name}"), Gauge, help).with_all(values)
        };
        vec![
            mount("size_bytes", "Filesystem size in bytes.", |found| found.bytes[0]),
            mount("free_bytes", "Filesystem free space in bytes.", |found| found.bytes[1]),
            mount("avail_bytes", "Filesystem space available to non-root users in bytes.", |found| {
                found.bytes[2]
            }),
            mount("files", "Filesystem total file nodes.", |found| found.files[0]),
            mount("files_free", "Filesystem total free file nodes.", |found| found.files[1]),
            mount("readonly", "Filesystem read-only status.", |found| f64::from(found.read_only)),
            mount(
                "device_error",
                "Whether an error occurred while getting statistics for the given device.",
                |_| 0.0,
            ),
        ]
    }

    fn node_links(&self) -> Vec<Family> {
        const COUNTERS: [(&str, Counted); 16] = [
            ("receive_bytes", |link| link.recv_bytes),
            ("receive_packets", |link| link.recv_packets),
            ("receive_errs", |link| link.recv_errs),
            ("receive_drop", |link| link.recv_drop),
            ("receive_fifo", |link| link.recv_fifo),
            ("receive_frame", |link| link.recv_frame),
            ("receive_compressed", |link| link.recv_compressed),
            ("receive_multicast", |link| link.recv_multicast),
            ("transmit_bytes", |link| link.sent_bytes),
            ("transmit_packets", |link| link.sent_packets),
            ("transmit_errs", |link| link.sent_errs),
            ("transmit_drop", |link| link.sent_drop),
            ("transmit_fifo", |link| link.sent_fifo),
            ("transmit_colls", |link| link.sent_colls),
            ("transmit_carrier", |link| link.sent_carrier),
            ("transmit_compressed", |link| link.sent_compressed),
        ];
        let counted = COUNTERS.iter().map(|(what, value)| {
            let wires = self.links.iter().filter(|link| link.is_wire());
            let values = wires.map(|link| (device(&link.status.name), long(value(&link.status))));
            statistic(what).with_all(values)
        });
        let told = |name: &'static str, help: &'static str, value: fn(&Link) -> Option<f64>| {
            let values = self.links.iter().filter_map(|link| Some((device(&link.status.name), value(link)?)));
            Family::new(name, Gauge, help).with_all(values)
        };
        let wires = self.links.iter().filter(|link| link.is_wire());
        let unhandled = wires.filter_map(|link| Some((device(&link.status.name), link.unhandled?)));
        counted
            .chain([
                statistic("receive_nohandler").with_all(unhandled),
                told("node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.", |link| {
                    link.is_up.map(f64::from)
                }),
                told("node_network_mtu_bytes", "Network device property: mtu_bytes", |link| link.mtu),
                told(
                    "node_network_transmit_queue_length",
                    "Network device property: transmit_queue_length",
                    |link| link.queue_length,
                ),
                told("node_network_speed_bytes", "Network device property: speed_bytes", |link| {
                    Some(link.speed_mbit? * 1e6 / 8.0)
                }),
            ])
            .collect()
    }

    fn node_kernel(&self) -> Vec<Family> {
        let mut all = Vec::new();
        for (resource, share, seconds) in &self.pressure {
            let (name, help) = match (*resource, *share) {
                ("cpu", "some") => {
                    ("cpu_waiting", "Total time in seconds that processes have waited for CPU time")
                }
                ("io", "some") => {
                    ("io_waiting", "Total time in seconds that processes have waited due to IO congestion")
                }
                ("io", _) => (
                    "io_stalled",
                    "Total time in seconds no process could make progress due to IO congestion",
                ),
                ("memory", "some") => {
                    ("memory_waiting", "Total time in seconds that processes have waited for memory")
                }
                ("memory", _) => (
                    "memory_stalled",
                    "Total time in seconds no process could make progress due to memory congestion",
                ),
                _ => continue,
            };
            all.push(plain(&format!("node_pressure_{name}_seconds_total"), Counter, help, Some(*seconds)));
        }
        let (used, most) = self.descriptors.unzip();
        all.push(plain("node_filefd_allocated", Gauge, "File descriptor statistics: allocated.", used));
        all.push(plain("node_filefd_maximum", Gauge, "File descriptor statistics: maximum.", most));
        let (tracked, most) = self.conntrack.unzip();
        all.push(plain(
            "node_nf_conntrack_entries",
            Gauge,
            "Number of currently allocated flow entries for connection tracking.",
            tracked,
        ));
        all.push(plain(
            "node_nf_conntrack_entries_limit",
            Gauge,
            "Maximum size of connection tracking table.",
            most,
        ));
        for (protocol, what, count) in &self.sockets {
            let (name, help) = (
                format!("node_sockstat_{protocol}_{what}"),
                format!("Number of {protocol} sockets in state {what}."),
            );
            let help = if protocol == "sockets" { "Number of IPv4 sockets in use.".to_owned() } else { help };
            all.push(Family::new(name.clone(), Gauge, help.clone()).with(vec![], *count));
            if what == "mem" {
                let pages = long(procfs::page_size());
                all.push(
                    Family::new(format!("{name}_bytes"), Gauge, help.replace("state mem", "state mem_bytes"))
                        .with(vec![], count * pages),
                );
            }
        }
        let softnet = ["processed", "dropped", "times_squeezed"].into_iter().enumerate().map(|(at, what)| {
            let values = self.softnet.iter().enumerate();
            let values =
                values.filter_map(|(cpu, counts)| Some((vec![("cpu", cpu.to_string())], *counts.get(at)?)));
            let help = match what {
                "processed" => "Number of processed packets",
                "dropped" => "Number of dropped packets",
                _ => "Number of times processing packets ran out of quota",
            };
            Family::new(format!("node_softnet_{what}_total"), Counter, help).with_all(values)
        });
        all.extend(softnet);
        all.extend(self.kernel_words.memory.iter().map(|(word, value)| {
            Family::new(
                format!("node_vmstat_{word}"),
                Untyped,
                format!("/proc/vmstat information field {word}."),
            )
            .with(vec![], *value)
        }));
        all.extend(self.kernel_words.network.iter().map(|(protocol, word, value)| {
            Family::new(
                format!("node_netstat_{protocol}_{word}"),
                Untyped,
                format!("Statistic {protocol}{word}."),
            )
            .with(vec![], *value)
        }));
        all
    }

    fn node_rest(&self) -> Vec<Family> {
        let mut all = Vec::new();
        all.push(Family::new("node_thermal_zone_temp", Gauge, "Zone temperature in Celsius").with_all(
            self.temperatures.iter().filter(|(zone, ..)| zone.parse::<u32>().is_ok()).map(
                |(zone, kind, degrees)| (vec![("type", kind.clone()), ("zone", zone.clone())], *degrees),
            ),
        ));
        if let Ok(host) = nix::sys::utsname::uname() {
            let fields = [
                ("domainname", host.domainname()),
                ("machine", host.machine()),
                ("nodename", host.nodename()),
                ("release", host.release()),
                ("sysname", host.sysname()),
                ("version", host.version()),
            ];
            let labels = fields.map(|(name, value)| (name, value.to_string_lossy().into_owned()));
            let help = "Labeled system information as provided by the uname system call.";
            all.push(Family::new("node_uname_info", Gauge, help).with(labels.to_vec(), 1.0));
        }
        all
    }
}

fn plain(name: &str, kind: crate::monitor::family::Kind, help: &'static str, value: Option<f64>) -> Family {
    Family::new(name.to_owned(), kind, help).with_all(value.map(|value| (vec![], value)))
}

fn statistic(what: &str) -> Family {
    Family::new(format!("node_network_{what}_total"), Counter, format!("Network device statistic {what}."))
}

fn device(name: &str) -> Vec<(&'static str, String)> {
    vec![("device", name.to_owned())]
}
