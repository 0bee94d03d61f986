//! The `[dataplane]` section of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skyshield_common::{Limit, Reason, host, host_v6};

use super::enforcer::{Allowance, Settings, Tuning};
use super::rules::{self, Rule};
use super::tap::Tapped;

/// What the kernel side is told. Sizes are per address family, and cost memory when the daemon
/// starts: 80 to 90 bytes for a ban, about 140 for a prefix in use, 100 for a source's rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "switches, each of which stands for itself")]
pub struct Config {
    /// The interface to guard. Without one there is no kernel side.
    pub interface: Option<String>,
    /// More interfaces to guard, by the same bans and rates; at most 16 in all. One that is absent is
    /// guarded as soon as it is there.
    pub interfaces: Vec<String>,
    /// Where in the receive path the program runs.
    pub mode: Mode,
    /// The folder for pins; on a BPF file system.
    pub pin_dir: PathBuf,
    /// Banned addresses at most, of IPv4 and of IPv6 each.
    pub max_bans: u32,
    /// Banned prefixes at most, of IPv4 and of IPv6 each.
    pub max_prefixes: u32,
    /// Allowed addresses and prefixes at most, of IPv4 and of IPv6 each.
    pub max_allowed: u32,
    /// IPv4 addresses on lists at most, beside those that are banned.
    pub max_listed: u32,
    /// Listed prefixes at most, aggregated, of IPv4 and of IPv6 each: 16 bytes and 64 for one.
    pub max_listed_prefixes: u32,
    /// Prefixes of places (countries, providers) at most of which something is decided, aggregated, of IPv4
    /// and of IPv6 each: 32 bytes and 96 for one.
    pub max_place_prefixes: u32,
    /// Sources that may be over their rate at once, in round figures; beyond it new ones go unlimited,
    /// and are counted. Eight bytes each.
    pub max_sources: u32,
    /// Packets a second that one source (an IPv4 address, an IPv6 /64) may send; 0 is no limit.
    pub rate_packets_per_sec: u64,
    /// Packets that a source may send at once after a pause.
    pub rate_burst: u64,
    /// TCP SYNs a second that one source may send, and twice as many at once; 0 is no limit.
    pub syns_per_sec: u64,
    /// TCP SYNs a second to one port above which the kernel program answers them itself, with cookies, until
    /// they have been half as many for ten seconds; 0 is never, and so is a dry run. Linux 6.0 or later, and the sysctl
    /// `net.ipv4.tcp_syncookies` at 2: the host's stack has to take what comes back.
    pub syn_cookies_above: u64,
    /// UDP packets a second that one source may send, and twice as many at once; 0 is no limit.
    pub udp_packets_per_sec: u64,
    /// Bytes a second that one source may send, and twice as many at once; 0 is no limit.
    pub bytes_per_sec: u64,
    /// Flows (TCP connections; UDP by its ports) that one source may begin in a second, and twice as many
    /// at once; 0 is no limit. As many are kept in mind as sources, for half a minute.
    pub flows_per_sec: u64,
    /// Packets a second that one network (an IPv4 /24, an IPv6 /48) may send, and twice as many at
    /// once; 0 is no limit.
    pub network_packets_per_sec: u64,
    /// The same of its TCP SYNs.
    pub network_syns_per_sec: u64,
    /// The same of its UDP packets.
    pub network_udp_packets_per_sec: u64,
    /// The same of its bytes.
    pub network_bytes_per_sec: u64,
    /// The same of flows that it begins.
    pub network_flows_per_sec: u64,
    /// How much of each may come at once, where twice as much as in a second is not right.
    pub bursts: Bursts,
    /// Rules on ports and protocols, asked in their order once no ban has ended a packet; 256 at most.
    pub rules: Vec<Rule>,
    /// Drop packets that are cut short or contradict themselves; else they are only counted.
    pub drop_malformed: bool,
    /// Drop packets whose source nobody can have, or is their destination; else they are only counted.
    pub drop_martians: bool,
    /// Drop TCP without flags, or with flags that exclude each other; else it is only counted.
    pub drop_bad_flags: bool,
    /// Drop nothing; count and tell what would have been dropped.
    pub dry_run: bool,
    /// Reasons for which nothing is dropped, by their names in the metrics: `rate_exceeded`, `banned_place`.
    pub dry_run_for: Vec<String>,
    /// Events of drops that each CPU may send in a millisecond, of each interface.
    pub events_per_ms: u32,
    /// What the kernel does when the daemon is silent.
    pub on_silence: OnSilence,
    /// How long the daemon may be silent, in seconds, where it is to be missed.
    pub silent_after_secs: u64,
    /// What is copied for the tap; its own section says it.
    #[serde(skip)]
    pub tapped: Option<Tapped>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interface: None,
            interfaces: Vec::new(),
            mode: Mode::Auto,
            pin_dir: PathBuf::from("/sys/fs/bpf/skyshield"),
            max_bans: 262_144,
            max_prefixes: 65_536,
            max_allowed: 4_096,
            max_listed: 0,
            max_listed_prefixes: 0,
            max_place_prefixes: 65_536,
            max_sources: 1 << 20,
            rate_packets_per_sec: 10_000,
            rate_burst: 20_000,
            syns_per_sec: 0,
            syn_cookies_above: 0,
            udp_packets_per_sec: 0,
            bytes_per_sec: 0,
            flows_per_sec: 0,
            network_packets_per_sec: 0,
            network_syns_per_sec: 0,
            network_udp_packets_per_sec: 0,
            network_bytes_per_sec: 0,
            network_flows_per_sec: 0,
            bursts: Bursts::default(),
            rules: Vec::new(),
            drop_malformed: false,
            drop_martians: false,
            drop_bad_flags: false,
            dry_run: false,
            dry_run_for: Vec::new(),
            events_per_ms: 4,
            on_silence: OnSilence::Keep,
            silent_after_secs: 30,
            tapped: None,
        }
    }
}

/// Entries of one map at the most: at some 90 bytes each, more than any host sets aside for it.
const MAX_ENTRIES: u32 = 1 << 24;
// A verifier follows no address further than that, and the tables of hosts are the largest.
const _: () = assert!(host::bucket_count(2 * MAX_ENTRIES) as usize * size_of::<host::Bucket>() <= 1 << 29);
const _: () = assert!(host_v6::bucket_count(MAX_ENTRIES) as usize * size_of::<host_v6::Bucket>() <= 1 << 29);
/// Packets at the most; a network card's wire carries fewer in a second.
const MAX_PACKETS: u64 = 1_000_000_000;
/// The daemon says once a second that it lives; a shorter silence is none.
const SILENCE_SECS: std::ops::RangeInclusive<u64> = 3..=86_400;
/// Bytes of a frame at the most: what a driver or the kernel has put together of several is 64 KiB and its headers.
pub(super) const LARGEST_FRAME: u64 = 66 << 10;
/// The kernel's `IFNAMSIZ`, less the end mark.
const MAX_NAME: usize = 15;
/// Each has a program and counters of its own.
const MAX_INTERFACES: usize = 16;

impl Config {
    /// What is wrong with this section, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let named = self.interface.iter().map(|name| ("dataplane.interface", name));
        let named = named.chain(self.interfaces.iter().map(|name| ("dataplane.interfaces", name)));
        for (key, name) in named {
            if name.is_empty() || name.len() > MAX_NAME || name.contains(['/', ':', ' ', '\0']) {
                return Some((key, format!("`{}` is no interface's name", name.escape_debug())));
            }
        }
        if self.guarded().len() > MAX_INTERFACES {
            let what = format!("{} are more than {MAX_INTERFACES}", self.guarded().len());
            return Some(("dataplane.interfaces", what));
        }
        let sizes = [
            ("dataplane.max_bans", self.max_bans),
            ("dataplane.max_prefixes", self.max_prefixes),
            ("dataplane.max_allowed", self.max_allowed),
            ("dataplane.max_sources", self.max_sources),
        ];
        if let Some((key, size)) = sizes.into_iter().find(|(_, size)| !(1..=MAX_ENTRIES).contains(size)) {
            return Some((key, format!("{size} is not between 1 and {MAX_ENTRIES}")));
        }
        let lists = [
            ("dataplane.max_listed", self.max_listed),
            ("dataplane.max_listed_prefixes", self.max_listed_prefixes),
            ("dataplane.max_place_prefixes", self.max_place_prefixes),
        ];
        if let Some((key, size)) = lists.into_iter().find(|(_, size)| *size > MAX_ENTRIES) {
            return Some((key, format!("{size} is not between 0 (no list) and {MAX_ENTRIES}")));
        }
        if self.rate_packets_per_sec > MAX_PACKETS {
            let what = format!("{} is not between 0 (no limit) and {MAX_PACKETS}", self.rate_packets_per_sec);
            return Some(("dataplane.rate_packets_per_sec", what));
        }
        if self.rate_packets_per_sec > 0 && !(1..=MAX_PACKETS).contains(&self.rate_burst) {
            let what =
                format!("{} is not between 1 (0 would drop every packet) and {MAX_PACKETS}", self.rate_burst);
            return Some(("dataplane.rate_burst", what));
        }
        let bursts = [
            ("dataplane.bursts.bytes", self.bursts.bytes),
            ("dataplane.bursts.network_bytes", self.bursts.network_bytes),
        ];
        if let Some((key, burst)) = bursts.into_iter().find(|(_, burst)| (1..LARGEST_FRAME).contains(burst)) {
            let what = format!(
                "{burst} is less than the largest frame, which would never pass; 0 is the default, else at least \
                 {LARGEST_FRAME}"
            );
            return Some((key, what));
        }
        if self.syn_cookies_above > MAX_PACKETS {
            let what = format!("{} is not between 0 (never) and {MAX_PACKETS}", self.syn_cookies_above);
            return Some(("dataplane.syn_cookies_above", what));
        }
        if let Some(stray) = self.dry_run_for.iter().find(|name| dropping(name).is_none()) {
            let what =
                format!("`{}` is no reason that drops; the metrics page names them", stray.escape_debug());
            return Some(("dataplane.dry_run_for", what));
        }
        if let Some(what) = rules::problem(&self.rules) {
            return Some(("dataplane.rules", what));
        }
        if !SILENCE_SECS.contains(&self.silent_after_secs) {
            let (least, most) = (SILENCE_SECS.start(), SILENCE_SECS.end());
            let what = format!("{} is not between {least} and {most} seconds", self.silent_after_secs);
            return Some(("dataplane.silent_after_secs", what));
        }
        None
    }

    /// The interfaces to guard, each once, in the order they are named.
    pub fn guarded(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.interface.iter().chain(&self.interfaces) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Whether flows are counted.
    pub const fn counts_flows(&self) -> bool {
        self.flows_per_sec > 0 || self.network_flows_per_sec > 0
    }

    const fn allowance(&self, limit: Limit) -> Allowance {
        let bursts = &self.bursts;
        let (per_sec, burst) = match limit {
            Limit::Packets => (self.rate_packets_per_sec, self.rate_burst),
            Limit::Syns => (self.syns_per_sec, bursts.syns),
            Limit::Udp => (self.udp_packets_per_sec, bursts.udp_packets),
            Limit::Bytes => (self.bytes_per_sec, bursts.bytes),
            Limit::Flows => (self.flows_per_sec, bursts.flows),
            Limit::NetworkPackets => (self.network_packets_per_sec, bursts.network_packets),
            Limit::NetworkSyns => (self.network_syns_per_sec, bursts.network_syns),
            Limit::NetworkUdp => (self.network_udp_packets_per_sec, bursts.network_udp_packets),
            Limit::NetworkBytes => (self.network_bytes_per_sec, bursts.network_bytes),
            Limit::NetworkFlows => (self.network_flows_per_sec, bursts.network_flows),
        };
        Allowance { per_sec, burst }
    }

    /// For how long the kernel does without the daemon, where it is to miss it at all.
    pub fn missed_after(&self) -> Option<Duration> {
        (self.on_silence == OnSilence::Disarm).then(|| Duration::from_secs(self.silent_after_secs))
    }

    /// What a kernel side that was brought up by `started_with` takes up of this.
    pub fn tuning(&self, started_with: &Self) -> Tuning {
        let mut settings = self.settings();
        if !started_with.counts_flows() {
            // All flows would share the one cell that there is then.
            for limit in [Limit::Flows, Limit::NetworkFlows] {
                *settings.limit(limit) = Allowance::default();
            }
        }
        Tuning { settings, rules: self.rules.clone(), missed_after: self.missed_after() }
    }

    /// What the program is told by numbers and switches.
    pub fn settings(&self) -> Settings {
        Settings {
            drop_malformed: self.drop_malformed,
            drop_martians: self.drop_martians,
            drop_bad_flags: self.drop_bad_flags,
            dry_run: self.dry_run,
            spared: self
                .dry_run_for
                .iter()
                .filter_map(|name| dropping(name))
                .fold(0, |bits, one| bits | one.bit()),
            limits: Limit::ALL.map(|limit| self.allowance(limit)),
            events_per_ms: self.events_per_ms,
        }
    }
}

/// How much of each kind may come at once after a pause; 0 is twice as much as in a second, and of bytes no less than
/// the largest frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bursts {
    /// TCP SYNs of a source.
    pub syns: u64,
    /// UDP packets of a source.
    pub udp_packets: u64,
    /// Bytes of a source.
    pub bytes: u64,
    /// Flows that a source begins.
    pub flows: u64,
    /// Packets of a network.
    pub network_packets: u64,
    /// TCP SYNs of a network.
    pub network_syns: u64,
    /// UDP packets of a network.
    pub network_udp_packets: u64,
    /// Bytes of a network.
    pub network_bytes: u64,
    /// Flows that a network begins.
    pub network_flows: u64,
}

/// The reason of this name, if it drops.
fn dropping(name: &str) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| reason.drops() && reason.name() == name)
}

/// Where in the receive path the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// In the driver where it can, else as `generic`, with a warning.
    Auto,
    /// In the driver, or not at all.
    Native,
    /// Behind the driver: works everywhere, at about a quarter of the speed.
    Generic,
}

/// What the kernel does when the daemon is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSilence {
    /// Goes on: bans hold until their deadlines.
    Keep,
    /// Lets everything pass until the daemon is back.
    Disarm,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused() {
        let error = toml::from_str::<Config>("interfase = \"eth9\"").unwrap_err();
        assert!(error.to_string().contains("interfase"), "{error}");
    }

    #[test]
    fn a_burst_that_no_large_frame_fits_into_is_refused() {
        let problem = |text: &str| toml::from_str::<Config>(text).unwrap().problem();
        for key in ["bytes", "network_bytes"] {
            let (named, what) = problem(&format!("[bursts]\n{key} = {}", LARGEST_FRAME - 1)).unwrap();
            assert_eq!(named, format!("dataplane.bursts.{key}"));
            assert!(what.contains(&LARGEST_FRAME.to_string()), "{what}");
            assert_eq!(problem(&format!("[bursts]\n{key} = {LARGEST_FRAME}")), None);
        }
        assert_eq!(problem("bytes_per_sec = 1"), None);
    }

    #[test]
    fn flows_are_counted_only_where_they_were_from_the_start_on() {
        let config = |flows_per_sec| Config { flows_per_sec, ..Config::default() };
        let taken_up = |from, to| config(to).tuning(&config(from)).settings.limit(Limit::Flows).per_sec;
        assert_eq!([(0, 9), (5, 9), (5, 0)].map(|(from, to)| taken_up(from, to)), [0, 9, 0]);
    }

    #[test]
    fn an_empty_section_is_the_default() {
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    }
}
