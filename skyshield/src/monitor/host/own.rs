//! The host under our own names: few series, in base units.

use super::Host;
use crate::monitor::family::Family;
use crate::monitor::family::Kind::{Counter, Gauge};

/// What of `/proc/meminfo` is told, and as what.
const MEMORY: &[(&str, &str)] = &[
    ("MemTotal", "total"),
    ("MemFree", "free"),
    ("MemAvailable", "available"),
    ("Buffers", "buffers"),
    ("Cached", "cached"),
    ("SwapTotal", "swap_total"),
    ("SwapFree", "swap_free"),
];

impl Host {
    /// Everything, as `skyshield_host_…`.
    pub(crate) fn families(&self) -> Vec<Family> {
        let mut all = self.processor_families();
        all.extend(self.storage_families());
        all.extend(self.network_families());
        all.push(
            Family::new(
                "skyshield_host_left_out",
                Gauge,
                "Devices, mounts and interfaces beyond the bound of labels.",
            )
            .with(vec![], precise(self.left_out)),
        );
        all.retain(|family| !family.samples.is_empty());
        all
    }

    fn processor_families(&self) -> Vec<Family> {
        let modes = self.stat.as_ref().map(|stat| Self::modes(&stat.total)).into_iter().flatten();
        let memory =
            MEMORY.iter().filter_map(|(word, kind)| Some((label("kind", kind), self.memory_bytes(word)?)));
        let load = self.load.iter().flat_map(|load| ["1", "5", "15"].into_iter().zip(*load));
        let pressure = self.pressure.iter().map(|&(resource, share, seconds)| {
            (vec![("resource", resource.to_owned()), ("share", share.to_owned())], seconds)
        });
        let temperatures = self
            .temperatures
            .iter()
            .map(|(zone, kind, degrees)| (vec![("zone", zone.clone()), ("type", kind.clone())], *degrees));
        let stat = self.stat.as_ref();
        vec![
            Family::new("skyshield_host_cpu_seconds_total", Counter, "Time of all processors, by mode.")
                .with_all(modes.map(|(mode, seconds)| (label("mode", mode), seconds))),
            Family::new("skyshield_host_cpus", Gauge, "Processors.")
                .with_all(stat.map(|stat| (vec![], precise(stat.cpu_time.len())))),
            Family::new(
                "skyshield_host_boot_timestamp_seconds",
                Gauge,
                "When the host started, in seconds since 1970.",
            )
            .with_all(stat.map(|stat| (vec![], long(stat.btime)))),
            Family::new("skyshield_host_memory_bytes", Gauge, "Memory and swap, by kind.").with_all(memory),
            Family::new("skyshield_host_load", Gauge, "Load averages, by the minutes they cover.")
                .with_all(load.map(|(minutes, load)| (label("minutes", minutes), load))),
            Family::new(
                "skyshield_host_pressure_seconds_total",
                Counter,
                "Time in which tasks waited for a resource: some of them, or all (full).",
            )
            .with_all(pressure),
            Family::new("skyshield_host_temperature_celsius", Gauge, "What the host's sensors measure.")
                .with_all(temperatures),
        ]
    }

    fn storage_families(&self) -> Vec<Family> {
        let disk = |name: &'static str, help: &'static str, value: fn(&procfs::DiskStat) -> f64| {
            Family::new(name, Counter, help)
                .with_all(self.disks.iter().map(|disk| (label("device", &disk.name), value(disk))))
        };
        let mount = |name: &'static str, help: &'static str, value: fn(&super::FileSystem) -> f64| {
            Family::new(name, Gauge, help).with_all(
                self.file_systems.iter().map(|found| (label("mountpoint", &found.mountpoint), value(found))),
            )
        };
        let descriptors =
            self.descriptors.iter().flat_map(|&(used, most)| [("used", used), ("maximum", most)]);
        vec![
            disk("skyshield_host_disk_read_bytes_total", "Bytes read from the disk.", |disk| {
                long(disk.sectors_read) * 512.0
            }),
            disk("skyshield_host_disk_written_bytes_total", "Bytes written to the disk.", |disk| {
                long(disk.sectors_written) * 512.0
            }),
            disk("skyshield_host_disk_io_seconds_total", "Time the disk was busy.", |disk| {
                long(disk.time_in_progress) / 1000.0
            }),
            mount("skyshield_host_filesystem_size_bytes", "Size of the file system.", |found| found.bytes[0]),
            mount("skyshield_host_filesystem_available_bytes", "What is free for everyone.", |found| {
                found.bytes[2]
            }),
            mount("skyshield_host_filesystem_files", "Files there can be.", |found| found.files[0]),
            mount("skyshield_host_filesystem_free_files", "Files there can be more.", |found| found.files[1]),
            Family::new(
                "skyshield_host_file_descriptors",
                Gauge,
                "File descriptors, in use and at the most.",
            )
            .with_all(descriptors.map(|(kind, count)| (label("kind", kind), count))),
        ]
    }

    fn network_families(&self) -> Vec<Family> {
        let link = |what: &str, help: &'static str, value: fn(&procfs::net::DeviceStatus) -> [u64; 2]| {
            let values = self.links.iter().filter(|link| link.is_wire()).flat_map(move |link| {
                let [received, sent] = value(&link.status);
                [("receive", received), ("transmit", sent)].map(|(direction, count)| {
                    let labels =
                        vec![("device", link.status.name.clone()), ("direction", direction.to_owned())];
                    (labels, long(count))
                })
            });
            Family::new(format!("skyshield_host_network_{what}_total"), Counter, help).with_all(values)
        };
        let conntrack = self.conntrack.iter().flat_map(|&(now, most)| [("tracked", now), ("maximum", most)]);
        let sockets = self
            .sockets
            .iter()
            .filter(|(_, what, _)| matches!(what.as_str(), "inuse" | "used" | "tw" | "orphan"));
        let sockets = sockets.map(|(protocol, what, count)| {
            (vec![("protocol", protocol.to_ascii_lowercase()), ("state", what.clone())], *count)
        });
        let sum = |at: usize| self.softnet.iter().filter_map(|counts| counts.get(at)).sum::<f64>();
        let softnet = ["processed", "dropped", "squeezed"].into_iter().enumerate();
        let softnet =
            softnet.filter(|_| !self.softnet.is_empty()).map(|(at, what)| (label("outcome", what), sum(at)));
        vec![
            link("bytes", "Bytes of the interface, by direction.", |link| [link.recv_bytes, link.sent_bytes]),
            link("packets", "Packets of the interface, by direction.", |link| [link.recv_packets, link.sent_packets]),
            link("errors", "Bad packets of the interface, by direction.", |link| [link.recv_errs, link.sent_errs]),
            link("drops", "Packets that the interface let fall, by direction.", |link| [link.recv_drop, link.sent_drop]),
            Family::new("skyshield_host_conntrack_entries", Gauge, "Connections tracked, and at the most.")
                .with_all(conntrack.map(|(kind, count)| (label("kind", kind), count))),
            Family::new("skyshield_host_sockets", Gauge, "Sockets, by protocol and state.").with_all(sockets),
            Family::new(
                "skyshield_host_softnet_packets_total",
                Counter,
                "Packets behind the driver: processed, dropped for a full backlog; and times the budget was spent.",
            )
            .with_all(softnet),
        ]
    }

    /// What `/proc/meminfo` says under `word`, in bytes.
    pub(super) fn memory_bytes(&self, word: &str) -> Option<f64> {
        let (_, value, is_kilo) = self.memory.iter().find(|(name, ..)| name == word)?;
        Some(if *is_kilo { value * 1024.0 } else { *value })
    }
}

fn label(name: &'static str, value: &str) -> Vec<(&'static str, String)> {
    vec![(name, value.to_owned())]
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of the kernel's are far below 2^53, and metrics are floats"
)]
pub(super) fn long(count: u64) -> f64 {
    count as f64
}

fn precise(count: usize) -> f64 {
    long(count as u64)
}
