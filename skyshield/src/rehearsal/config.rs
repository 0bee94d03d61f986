//! The section `rehearsal`.

use serde::{Deserialize, Serialize};

/// When is rehearsed, and what of its outcome is told of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether the configuration in force is rehearsed each night. Default true.
    pub nightly: bool,
    /// At which hour of the day in UTC. 0 to 23, default 3.
    pub hour: u8,
    /// Below this share of attacks that were refused it has failed. 0 to 1, default 0.95.
    pub least_detected: f64,
    /// Above this share of honest requests that were refused it has failed. 0 to 1, default 0.01.
    pub most_flagged: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { nightly: true, hour: 3, least_detected: 0.95, most_flagged: 0.01 }
    }
}

impl Config {
    /// What is wrong with this section, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if self.hour > 23 {
            return Some(("rehearsal.hour", format!("{} is no hour; write 0 to 23", self.hour)));
        }
        [("rehearsal.least_detected", self.least_detected), ("rehearsal.most_flagged", self.most_flagged)]
            .into_iter()
            .find(|(_, share)| !(0.0..=1.0).contains(share))
            .map(|(key, share)| (key, format!("{share} is not between 0 and 1")))
    }
}
