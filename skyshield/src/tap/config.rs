//! The `[tap]` section of the configuration.

use serde::{Deserialize, Serialize};

/// What is listened to, and how much is kept of it. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// TCP ports of this host's own web servers, where HTTP/1 is spoken in the clear. Without one there
    /// is no tap.
    pub ports: Vec<u16>,
    /// What waits in the kernel to be read, a power of two. Beyond half of it connections are sampled,
    /// and what has no room is lost; both are counted. Default 8388608.
    pub ring_bytes: u32,
    /// What waits there of one connection. Beyond it nothing more of it is copied until it is read.
    /// Default 1048576.
    pub flow_bytes: u32,
    /// Connections that are followed at a time. Beyond it the one that was silent longest is let go.
    /// Default 65536.
    pub flows: u32,
    /// What is kept of requests in progress and of what came before its turn, of all connections.
    /// Beyond it the one that was silent longest is let go. Default 67108864.
    pub held_bytes: usize,
    /// What is kept of one connection that came before its turn. Beyond it what comes is not taken.
    /// Default 262144.
    pub reorder_bytes: usize,
    /// How long a connection may be silent before it is let go, in seconds. Default 120.
    pub idle_secs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ports: Vec::new(),
            ring_bytes: 8 << 20,
            flow_bytes: 1 << 20,
            flows: 1 << 16,
            held_bytes: 64 << 20,
            reorder_bytes: 256 << 10,
            idle_secs: 120,
        }
    }
}

/// Ports at the most: who taps more has not said what he means.
const MAX_PORTS: usize = 64;
const RING_BYTES: std::ops::RangeInclusive<u32> = 64 << 10..=1 << 30;
const MAX_FLOWS: u32 = 1 << 22;
const MAX_IDLE_SECS: u64 = 24 * 3600;
/// One segment has to fit.
const LEAST_BYTES: usize = 64 << 10;

impl Config {
    /// Whether there is a tap.
    pub fn is_on(&self) -> bool {
        !self.ports.is_empty()
    }

    /// What is wrong with this section, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if self.ports.len() > MAX_PORTS {
            return Some(("tap.ports", format!("{} are more than {MAX_PORTS}", self.ports.len())));
        }
        if self.ports.contains(&0) {
            return Some(("tap.ports", "0 is no port".to_owned()));
        }
        if !RING_BYTES.contains(&self.ring_bytes) || !self.ring_bytes.is_power_of_two() {
            let (least, most) = (RING_BYTES.start(), RING_BYTES.end());
            let what = format!("{} is no power of two between {least} and {most}", self.ring_bytes);
            return Some(("tap.ring_bytes", what));
        }
        if !(1..=MAX_FLOWS).contains(&self.flows) {
            return Some(("tap.flows", format!("{} is not between 1 and {MAX_FLOWS}", self.flows)));
        }
        let sizes = [
            ("tap.flow_bytes", self.flow_bytes as usize),
            ("tap.held_bytes", self.held_bytes),
            ("tap.reorder_bytes", self.reorder_bytes),
        ];
        if let Some((key, bytes)) = sizes.into_iter().find(|(_, bytes)| *bytes < LEAST_BYTES) {
            return Some((key, format!("{bytes} is less than {LEAST_BYTES}, one segment at its longest")));
        }
        if !(1..=MAX_IDLE_SECS).contains(&self.idle_secs) {
            let what = format!("{} is not between 1 and {MAX_IDLE_SECS} seconds", self.idle_secs);
            return Some(("tap.idle_secs", what));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_key() {
        let on = Config { ports: vec![80], ..Config::default() };
        assert_eq!(on.problem(), None);
        for (config, key) in [
            (Config { ports: vec![0], ..on.clone() }, "tap.ports"),
            (Config { ring_bytes: 1_000_000, ..on.clone() }, "tap.ring_bytes"),
            (Config { ring_bytes: 4_096, ..on.clone() }, "tap.ring_bytes"),
            (Config { flows: 0, ..on.clone() }, "tap.flows"),
            (Config { held_bytes: 1, ..on.clone() }, "tap.held_bytes"),
            (Config { idle_secs: 0, ..on }, "tap.idle_secs"),
        ] {
            assert_eq!(config.problem().map(|(key, _)| key), Some(key));
        }
    }
}
