//! What two looks at the host come to: shares and rates, which is what people and alerts ask for.

use procfs::CpuTime;

use super::Host;
use super::own::long;
use crate::engine::reading::Reading;

/// The host in few numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Vitals(pub Vec<Reading>);

impl Vitals {
    /// What happened between two looks that are `seconds` apart; at the first look there is no before.
    pub(crate) fn between(before: Option<&Host>, now: &Host, seconds: f64) -> Self {
        let mut all = Vec::with_capacity(32);
        now.state(&mut all);
        if let Some(before) = before.filter(|_| seconds > 0.0) {
            now.motion(before, seconds, &mut all);
        }
        Self(all)
    }
}

impl Host {
    /// What can be seen at one look.
    fn state(&self, all: &mut Vec<Reading>) {
        let bytes = |word| self.memory_bytes(word);
        if let Some((total, available)) = bytes("MemTotal").zip(bytes("MemAvailable")) {
            all.push(Reading::new("host_memory_used_ratio", 1.0 - available / total));
        }
        if let Some((total, free)) =
            bytes("SwapTotal").zip(bytes("SwapFree")).filter(|&(total, _)| total > 0.0)
        {
            all.push(Reading::new("host_swap_used_ratio", 1.0 - free / total));
        }
        if let Some([one, five, fifteen]) = self.load {
            let cpus = self.stat.as_ref().map_or(1, |stat| stat.cpu_time.len().max(1));
            all.push(Reading::new("host_load1", one));
            all.push(Reading::new("host_load5", five));
            all.push(Reading::new("host_load15", fifteen));
            all.push(Reading::new("host_load15_per_cpu", fifteen / long(cpus as u64)));
        }
        for found in self.file_systems.iter().filter(|found| !found.read_only) {
            let at = found.mountpoint.as_str();
            let [size, free, available] = found.bytes;
            // As `df` has it: of what everyone may use.
            let usable = size - free + available;
            if usable > 0.0 {
                all.push(Reading::of("host_disk_used_ratio", "mountpoint", at, (size - free) / usable));
                all.push(Reading::of("host_disk_available_bytes", "mountpoint", at, available));
            }
            let [files, free] = found.files;
            if files > 0.0 {
                all.push(Reading::of("host_files_used_ratio", "mountpoint", at, 1.0 - free / files));
            }
        }
        for (name, pair) in [
            ("host_file_descriptors_used_ratio", self.descriptors),
            ("host_conntrack_used_ratio", self.conntrack),
        ] {
            if let Some((used, most @ 1.0..)) = pair {
                all.push(Reading::new(name, used / most));
            }
        }
        for (zone, _, degrees) in &self.temperatures {
            all.push(Reading::of("host_temperature_celsius", "zone", zone, *degrees));
        }
    }

    /// What takes two looks.
    fn motion(&self, before: &Self, seconds: f64, all: &mut Vec<Reading>) {
        if let Some((now, then)) = self.stat.as_ref().zip(before.stat.as_ref()) {
            let [busy, waiting] = shares(&then.total, &now.total);
            all.push(Reading::new("host_cpu_busy_ratio", busy));
            all.push(Reading::new("host_cpu_iowait_ratio", waiting));
        }
        let rate = |now: f64, then: f64| ((now - then) / seconds).max(0.0);
        for disk in &self.disks {
            let Some(then) = before.disks.iter().find(|then| then.name == disk.name) else { continue };
            let at = disk.name.as_str();
            let bytes = |now, then| rate(long(now) * 512.0, long(then) * 512.0);
            let busy = rate(long(disk.time_in_progress) / 1000.0, long(then.time_in_progress) / 1000.0);
            all.push(Reading::of(
                "host_disk_read_bytes_per_second",
                "device",
                at,
                bytes(disk.sectors_read, then.sectors_read),
            ));
            all.push(Reading::of(
                "host_disk_written_bytes_per_second",
                "device",
                at,
                bytes(disk.sectors_written, then.sectors_written),
            ));
            all.push(Reading::of("host_disk_busy_ratio", "device", at, busy.min(1.0)));
        }
        for link in self.links.iter().filter(|link| link.is_wire()) {
            let name = link.status.name.as_str();
            let Some(then) = before.links.iter().find(|then| then.status.name == name) else { continue };
            let (now, then) = (&link.status, &then.status);
            let of = |now: u64, then: u64| rate(long(now), long(then));
            all.push(Reading::of(
                "host_network_receive_bytes_per_second",
                "device",
                name,
                of(now.recv_bytes, then.recv_bytes),
            ));
            all.push(Reading::of(
                "host_network_transmit_bytes_per_second",
                "device",
                name,
                of(now.sent_bytes, then.sent_bytes),
            ));
            let (packets, drops) =
                (of(now.recv_packets, then.recv_packets), of(now.recv_drop, then.recv_drop));
            // Few packets make no share.
            if packets + drops >= 1.0 {
                all.push(Reading::of(
                    "host_network_receive_drop_ratio",
                    "device",
                    name,
                    drops / (packets + drops),
                ));
            }
        }
        for (resource, share, now) in &self.pressure {
            let then = before.pressure.iter().find(|then| (then.0, then.1) == (*resource, *share));
            if let Some((.., then)) = then.filter(|_| *share == "some") {
                all.push(Reading::of(
                    "host_pressure_ratio",
                    "resource",
                    resource,
                    rate(*now, *then).min(1.0),
                ));
            }
        }
        let dropped = |host: &Self| host.softnet.iter().map(|[_, dropped, _]| dropped).sum::<f64>();
        all.push(Reading::new("host_softnet_dropped_per_second", rate(dropped(self), dropped(before))));
        let kills = |host: &Self| {
            host.kernel_words.memory.iter().find(|(word, _)| word == "oom_kill").map(|found| found.1)
        };
        if let Some((now, then)) = kills(self).zip(kills(before)) {
            all.push(Reading::new("host_oom_kills", (now - then).max(0.0)));
        }
    }
}

/// The share of time that processors were busy, and that they waited for a disk.
fn shares(then: &CpuTime, now: &CpuTime) -> [f64; 2] {
    let (then, now) = (Host::modes(then), Host::modes(now));
    let spent = |wanted: &dyn Fn(&str) -> bool| -> f64 {
        let modes = now.iter().zip(&then).filter(|((mode, _), _)| wanted(mode));
        modes.map(|((_, now), (_, then))| (now - then).max(0.0)).sum()
    };
    let all = spent(&|_| true);
    if all <= 0.0 {
        return [0.0; 2];
    }
    [spent(&|mode| !matches!(mode, "idle" | "iowait")) / all, spent(&|mode| mode == "iowait") / all]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_vitals_and_each_share_is_one() {
        let before = Host::read();
        let now = Host::read();
        let vitals = Vitals::between(Some(&before), &now, 0.5);
        for wanted in ["host_cpu_busy_ratio", "host_memory_used_ratio", "host_load15_per_cpu"] {
            assert!(vitals.0.iter().any(|reading| reading.name == wanted), "{wanted}: {vitals:?}");
        }
        for reading in vitals.0.iter().filter(|reading| reading.name.ends_with("_ratio")) {
            assert!((0.0..=1.0).contains(&reading.value), "{reading:?}");
        }
        assert!(
            Vitals::between(None, &now, 0.0).0.iter().all(|reading| reading.name != "host_cpu_busy_ratio")
        );
    }
}
