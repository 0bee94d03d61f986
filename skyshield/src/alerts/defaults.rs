//! The rules that are built in: the host in need, the shield not what it should be, promises broken.

use super::config::{RuleConfig, Severity};
use Severity::{Critical, Info, Warning};

/// What is well for this long has ended, in seconds.
const CLEAR_SECS: u64 = 60;

/// A rule that is built in.
struct BuiltIn {
    name: &'static str,
    metric: &'static str,
    /// A label that it must have and its value, or nothing.
    label: Option<(&'static str, &'static str)>,
    severity: Severity,
    limit: Limit,
    hold_secs: u64,
    summary: &'static str,
}

/// Where it fires and where it ends.
#[derive(Clone, Copy)]
enum Limit {
    Above(f64, f64),
    Below(f64),
    /// Seconds since.
    Older(f64),
}
use Limit::{Above, Below, Older};

#[rustfmt::skip]
const RULES: &[BuiltIn] = &[
    BuiltIn {
        name: "host_cpu", metric: "host_cpu_busy_ratio", label: None,
        severity: Warning, limit: Above(0.85, 0.75), hold_secs: 600, summary: "the processors are busy",
    },
    BuiltIn {
        name: "host_cpu_full", metric: "host_cpu_busy_ratio", label: None,
        severity: Critical, limit: Above(0.95, 0.85), hold_secs: 600, summary: "the processors are busy all the time",
    },
    BuiltIn {
        name: "host_iowait", metric: "host_cpu_iowait_ratio", label: None,
        severity: Warning, limit: Above(0.4, 0.2), hold_secs: 600, summary: "the processors wait for the disks",
    },
    BuiltIn {
        name: "host_load", metric: "host_load15_per_cpu", label: None,
        severity: Warning, limit: Above(2.0, 1.75), hold_secs: 300, summary: "more is to be run than there are processors",
    },
    BuiltIn {
        name: "host_memory", metric: "host_memory_used_ratio", label: None,
        severity: Warning, limit: Above(0.9, 0.8), hold_secs: 300, summary: "memory runs short",
    },
    BuiltIn {
        name: "host_memory_full", metric: "host_memory_used_ratio", label: None,
        severity: Critical, limit: Above(0.98, 0.9), hold_secs: 60, summary: "memory is used up",
    },
    BuiltIn {
        name: "host_oom", metric: "host_oom_kills", label: None,
        severity: Critical, limit: Above(0.0, 0.0), hold_secs: 0, summary: "the kernel has ended a process for want of memory",
    },
    BuiltIn {
        name: "host_disk", metric: "host_disk_used_ratio", label: None,
        severity: Warning, limit: Above(0.9, 0.8), hold_secs: 60, summary: "a disk runs full",
    },
    BuiltIn {
        name: "host_disk_full", metric: "host_disk_used_ratio", label: None,
        severity: Critical, limit: Above(0.98, 0.9), hold_secs: 60, summary: "a disk is full",
    },
    BuiltIn {
        name: "host_files", metric: "host_files_used_ratio", label: None,
        severity: Warning, limit: Above(0.9, 0.8), hold_secs: 60, summary: "a file system runs out of files",
    },
    BuiltIn {
        name: "host_descriptors", metric: "host_file_descriptors_used_ratio", label: None,
        severity: Warning, limit: Above(0.8, 0.6), hold_secs: 60, summary: "file descriptors run short",
    },
    BuiltIn {
        name: "host_conntrack", metric: "host_conntrack_used_ratio", label: None,
        severity: Warning, limit: Above(0.8, 0.6), hold_secs: 60, summary: "the table of tracked connections runs full",
    },
    BuiltIn {
        name: "host_network_drops", metric: "host_network_receive_drop_ratio", label: None,
        severity: Warning, limit: Above(0.02, 0.01), hold_secs: 300, summary: "an interface lets packets fall",
    },
    BuiltIn {
        name: "shield_detached", metric: "skyshield_interface_guarded", label: None,
        severity: Critical, limit: Below(0.5), hold_secs: 0, summary: "an interface is not guarded",
    },
    BuiltIn {
        name: "shield_drift", metric: "skyshield_enforcement_drift", label: None,
        severity: Warning, limit: Above(0.5, 0.5), hold_secs: 30, summary: "the kernel enforces something else than was decided",
    },
    BuiltIn {
        name: "shield_room", metric: "skyshield_bans_waiting_for_room", label: None,
        severity: Warning, limit: Above(0.5, 0.5), hold_secs: 30, summary: "bans hold at the doors only: the kernel has no room for them",
    },
    BuiltIn {
        name: "shield_store", metric: "skyshield_store_records_total", label: Some(("outcome", "commit_failed")),
        severity: Critical, limit: Above(0.0, 0.0), hold_secs: 0, summary: "the disk does not take what is decided",
    },
    BuiltIn {
        name: "shield_feed_stale", metric: "skyshield_feed_last_success_timestamp_seconds", label: None,
        severity: Warning, limit: Older(172_800.0), hold_secs: 0, summary: "a feed is old",
    },
    BuiltIn {
        name: "shield_feed_refused", metric: "skyshield_feed_refused", label: None,
        severity: Warning, limit: Above(0.5, 0.5), hold_secs: 0, summary: "a feed has shrunk, or covers too much: it was refused, and the last one stays",
    },
    BuiltIn {
        name: "shield_feed_failing", metric: "skyshield_feed_failing", label: None,
        severity: Warning, limit: Above(0.5, 0.5), hold_secs: 86_400, summary: "a feed could not be fetched for a day",
    },
    BuiltIn {
        name: "shield_rehearsal", metric: "skyshield_rehearsal_failed", label: None,
        severity: Warning, limit: Above(0.5, 0.5), hold_secs: 0, summary: "a rehearsal of the configuration in force went worse than allowed",
    },
    BuiltIn {
        name: "shield_reputation_budget", metric: "skyshield_reputation_budget_remaining", label: None,
        severity: Info, limit: Below(1.0), hold_secs: 60, summary: "a reputation provider is not asked any more today",
    },
    BuiltIn {
        name: "shield_flood", metric: "skyshield_xdp_packets_total", label: Some(("verdict", "drop")),
        severity: Warning, limit: Above(10_000.0, 1000.0), hold_secs: 10, summary: "a flood is dropped",
    },
    BuiltIn {
        name: "upstream_down", metric: "skyshield_upstream_up", label: None,
        severity: Critical, limit: Below(0.5), hold_secs: 30, summary: "an upstream is down",
    },
    BuiltIn {
        name: "slo_fast", metric: "slo_burn_fast", label: None,
        severity: Critical, limit: Above(14.4, 14.4), hold_secs: 0, summary: "an error budget of 30 days is spent within two",
    },
    BuiltIn {
        name: "slo_slow", metric: "slo_burn_slow", label: None,
        severity: Warning, limit: Above(6.0, 6.0), hold_secs: 0, summary: "an error budget of 30 days is spent within five",
    },
    BuiltIn {
        name: "slo_steady", metric: "slo_burn_steady", label: None,
        severity: Info, limit: Above(1.0, 1.0), hold_secs: 3600, summary: "an error budget of 30 days is spent before they are over",
    },
];

/// Every rule that is built in.
pub(super) fn rules() -> Vec<RuleConfig> {
    let rule = |built_in: &BuiltIn| {
        let (above, below, clear) = match built_in.limit {
            Above(above, clear) => (Some(above), None, clear),
            Older(age) => (Some(age), None, age),
            Below(below) => (None, Some(below), below),
        };
        RuleConfig {
            name: built_in.name.to_owned(),
            metric: built_in.metric.to_owned(),
            labels: built_in.label.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            above,
            below,
            clear: Some(clear),
            age: matches!(built_in.limit, Older(_)),
            hold_secs: built_in.hold_secs,
            clear_secs: CLEAR_SECS,
            severity: built_in.severity,
            summary: built_in.summary.to_owned(),
        }
    };
    RULES.iter().map(rule).collect()
}
