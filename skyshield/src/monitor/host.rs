//! What the host says of its own load, read from `/proc` and `/sys`.

mod compat;
mod devices;
mod lines;
mod own;
mod vitals;

use std::path::Path;

use procfs::prelude::*;
use procfs::{CpuTime, DiskStat, KernelStats};

pub(super) use devices::{FileSystem, Link};
pub(super) use vitals::Vitals;

use lines::Words;

/// Devices, interfaces and mounts that are told of at the most, each: a label has so many values.
const MAX_DEVICES: usize = 64;

/// Everything that was read at one moment. What a host does not have is empty.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Time of each processor by mode, and what goes with it.
    stat: Option<KernelStats>,
    /// `/proc/meminfo`: name, value, and whether it is in kilobytes.
    memory: Vec<(String, f64, bool)>,
    /// The three load averages.
    load: Option<[f64; 3]>,
    disks: Vec<DiskStat>,
    file_systems: Vec<FileSystem>,
    links: Vec<Link>,
    /// File descriptors in use and at the most.
    descriptors: Option<(f64, f64)>,
    /// Resource, `some` or `full`, seconds.
    pressure: Vec<(&'static str, &'static str, f64)>,
    /// Connections tracked, and at the most.
    conntrack: Option<(f64, f64)>,
    /// Protocol, what, how many.
    sockets: Vec<(String, String, f64)>,
    /// Of each processor: processed, dropped, squeezed.
    softnet: Vec<[f64; 3]>,
    /// Sensor, its kind, degrees Celsius.
    temperatures: Vec<(String, String, f64)>,
    /// `/proc/vmstat` and `/proc/net/{netstat,snmp,snmp6}`, as far as boards ask for it.
    kernel_words: Words,
    /// Devices, interfaces and mounts beyond those that are told of.
    left_out: usize,
}

impl Host {
    /// Reads everything. Blocks for as long as the kernel does; a dead network mount is not asked.
    pub(super) fn read() -> Self {
        let mut left_out = 0;
        let mut bound = |len: usize| left_out += len.saturating_sub(MAX_DEVICES);
        let mut disks: Vec<_> =
            procfs::diskstats().unwrap_or_default().into_iter().filter(devices::is_told_of).collect();
        let mut file_systems = devices::file_systems();
        let mut links = devices::links();
        bound(disks.len());
        bound(file_systems.len());
        bound(links.len());
        disks.truncate(MAX_DEVICES);
        file_systems.truncate(MAX_DEVICES);
        links.truncate(MAX_DEVICES);
        Self {
            stat: KernelStats::current().ok(),
            memory: lines::memory(&text("/proc/meminfo")),
            load: lines::load(&text("/proc/loadavg")),
            disks,
            file_systems,
            links,
            descriptors: lines::descriptors(&text("/proc/sys/fs/file-nr")),
            pressure: ["cpu", "io", "memory"]
                .into_iter()
                .flat_map(|resource| lines::pressure(resource, &text(format!("/proc/pressure/{resource}"))))
                .collect(),
            conntrack: number("/proc/sys/net/netfilter/nf_conntrack_count")
                .zip(number("/proc/sys/net/netfilter/nf_conntrack_max")),
            sockets: lines::sockets(&text("/proc/net/sockstat"), &text("/proc/net/sockstat6")),
            softnet: lines::softnet(&text("/proc/net/softnet_stat")),
            temperatures: devices::temperatures(Path::new("/sys/class")),
            kernel_words: Words::read(
                &text("/proc/vmstat"),
                &[&text("/proc/net/netstat"), &text("/proc/net/snmp")],
                &text("/proc/net/snmp6"),
            ),
            left_out,
        }
    }

    /// Seconds of a processor by mode, under `node_exporter`'s names.
    fn modes(time: &CpuTime) -> [(&'static str, f64); 8] {
        let ticks = procfs::ticks_per_second();
        #[expect(clippy::cast_precision_loss, reason = "ticks since boot are far below 2^52")]
        let seconds = move |count: u64| count as f64 / ticks.max(1) as f64;
        [
            ("user", seconds(time.user)),
            ("nice", seconds(time.nice)),
            ("system", seconds(time.system)),
            ("idle", seconds(time.idle)),
            ("iowait", seconds(time.iowait.unwrap_or(0))),
            ("irq", seconds(time.irq.unwrap_or(0))),
            ("softirq", seconds(time.softirq.unwrap_or(0))),
            ("steal", seconds(time.steal.unwrap_or(0))),
        ]
    }
}

/// What is in a file of the kernel's; nothing where there is none.
fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The number in a file of the kernel's.
fn number(path: impl AsRef<Path>) -> Option<f64> {
    text(path).trim().parse().ok()
}
