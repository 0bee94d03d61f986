//! The `[metrics]` section: how often the host is looked at, under which names, what is kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the host and the daemon are measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether the host is looked at, alerts are judged and a history is kept.
    pub enabled: bool,
    /// How often the host is looked at, in seconds.
    pub interval_secs: u64,
    /// Whether the host is told of under `node_exporter`'s names, so that its boards work.
    pub node_compat: bool,
    /// Days that the main series are kept, at falling resolution.
    pub history_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, interval_secs: 60, node_compat: false, history_days: 30 }
    }
}

/// The daemon itself is looked at, and alerts are judged, at least this often.
const TICK: Duration = Duration::from_secs(10);

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if !(1..=3600).contains(&self.interval_secs) {
            let what = format!("{} s; 1 to 3600 it can be", self.interval_secs);
            return Some(("metrics.interval_secs", what));
        }
        if !(1..=400).contains(&self.history_days) {
            return Some(("metrics.history_days", format!("{} days; 1 to 400 it can be", self.history_days)));
        }
        None
    }

    /// How often the host is looked at.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_secs)
    }

    /// How often the daemon is looked at and alerts are judged.
    pub fn tick(&self) -> Duration {
        self.interval().min(TICK)
    }
}
