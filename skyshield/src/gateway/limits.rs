//! The gateway's limits: each with a name, a default and what happens when it is reached.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::field::MAX_FIELDS;

/// How much, how many and how long. Times are in seconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A request's line and header lines together, in bytes. Beyond it: 431, or 414 if it is all target. Default 32768.
    pub head_bytes: usize,
    /// Header lines of a request. Beyond it: 431. Default 100, at the most 256.
    pub headers: usize,
    /// From a connection's start to its first byte, in seconds. Then it is closed. Default 5.
    pub first_byte_secs: u64,
    /// From a request's first byte to the end of its head, in seconds. Then: 408. Default 10.
    pub head_secs: u64,
    /// Between two requests of a connection, in seconds. Then it is closed. Default 60.
    pub idle_secs: u64,
    /// Without a byte of a request's body, in seconds. Then: 408. Default 30.
    pub body_idle_secs: u64,
    /// The pace a body has to keep on average, in bytes per second, after the first `body_idle_secs`. Below it: 408. Default 500.
    pub body_min_bytes_per_sec: u64,
    /// From a request's head to the end of its body, in seconds, however steadily it comes. Then: 408. Default 3600.
    pub body_secs: u64,
    /// What is held of a body for inspection, in bytes. Beyond it: `body_over_limit`. Default 1048576.
    pub inspected_body_bytes: usize,
    /// What is held of all bodies at a time, in bytes. Beyond it: 503. Default 268435456.
    pub held_body_bytes: usize,
    /// Client connections at a time. Beyond it new ones are closed. Default 10000.
    pub connections: usize,
    /// Client connections at a time of one address (of IPv6, one /64), trusted proxies excepted. Beyond it new ones are closed. Default 256.
    pub connections_per_source: usize,
    /// To connect to the upstream, in seconds. Then: 502. Default 5.
    pub upstream_connect_secs: u64,
    /// From a request sent to the head of its response, in seconds. Then: 504. Default 60.
    pub upstream_head_secs: u64,
    /// Without a byte of a response's body, in seconds. Then the response is cut. Default 300.
    pub upstream_body_idle_secs: u64,
    /// A response's status line and header lines together, in bytes. Beyond it: 502. Default 65536.
    pub upstream_head_bytes: usize,
    /// Idle connections kept at a time, of each upstream. Beyond it they are closed. Default 512.
    pub upstream_idle_connections: usize,
    /// How long an idle upstream connection is kept, in seconds. Default 30.
    pub upstream_idle_secs: u64,
    /// From one question for the addresses of an upstream's name to the next, in seconds. Default 30.
    pub upstream_lookup_secs: u64,
    /// Without the client taking a byte of a response, in seconds. Then the connection is closed. Default 30.
    pub write_stall_secs: u64,
    /// What requests in progress get when the gateway stops, in seconds. Default 30.
    pub drain_secs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            headers: 100,
            first_byte_secs: 5,
            head_secs: 10,
            idle_secs: 60,
            body_idle_secs: 30,
            body_min_bytes_per_sec: 500,
            body_secs: 3600,
            inspected_body_bytes: 1024 * 1024,
            held_body_bytes: 256 * 1024 * 1024,
            connections: 10_000,
            connections_per_source: 256,
            upstream_connect_secs: 5,
            upstream_head_secs: 60,
            upstream_body_idle_secs: 300,
            upstream_head_bytes: 64 * 1024,
            upstream_idle_connections: 512,
            upstream_idle_secs: 30,
            upstream_lookup_secs: 30,
            write_stall_secs: 30,
            drain_secs: 30,
        }
    }
}

/// A week: what is longer is a slip of the pen.
const MAX_SECS: u64 = 7 * 24 * 3600;

impl Limits {
    /// What is wrong with these limits, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let seconds = [
            ("gateway.limits.first_byte_secs", self.first_byte_secs),
            ("gateway.limits.head_secs", self.head_secs),
            ("gateway.limits.idle_secs", self.idle_secs),
            ("gateway.limits.body_idle_secs", self.body_idle_secs),
            ("gateway.limits.body_secs", self.body_secs),
            ("gateway.limits.upstream_connect_secs", self.upstream_connect_secs),
            ("gateway.limits.upstream_head_secs", self.upstream_head_secs),
            ("gateway.limits.upstream_body_idle_secs", self.upstream_body_idle_secs),
            ("gateway.limits.upstream_idle_secs", self.upstream_idle_secs),
            ("gateway.limits.upstream_lookup_secs", self.upstream_lookup_secs),
            ("gateway.limits.write_stall_secs", self.write_stall_secs),
            ("gateway.limits.drain_secs", self.drain_secs),
        ];
        if let Some((key, secs)) = seconds.into_iter().find(|(_, secs)| !(1..=MAX_SECS).contains(secs)) {
            return Some((key, format!("{secs} is not between 1 and {MAX_SECS} seconds")));
        }
        let counts = [
            ("gateway.limits.head_bytes", self.head_bytes, 1024, 1024 * 1024),
            ("gateway.limits.headers", self.headers, 1, MAX_FIELDS),
            ("gateway.limits.inspected_body_bytes", self.inspected_body_bytes, 0, 1 << 30),
            ("gateway.limits.held_body_bytes", self.held_body_bytes, self.inspected_body_bytes, usize::MAX),
            ("gateway.limits.connections", self.connections, 1, usize::MAX),
            ("gateway.limits.connections_per_source", self.connections_per_source, 1, usize::MAX),
            ("gateway.limits.upstream_head_bytes", self.upstream_head_bytes, 1024, 1024 * 1024),
        ];
        counts
            .into_iter()
            .find(|(_, value, least, most)| value < least || value > most)
            .map(|(key, value, least, most)| (key, format!("{value} is not between {least} and {most}")))
    }

    pub(super) fn first_byte(&self) -> Duration {
        Duration::from_secs(self.first_byte_secs)
    }

    pub(super) fn head(&self) -> Duration {
        Duration::from_secs(self.head_secs)
    }

    pub(super) fn body(&self) -> Duration {
        Duration::from_secs(self.body_secs)
    }

    pub(super) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_secs)
    }

    pub(super) fn write_stall(&self) -> Duration {
        Duration::from_secs(self.write_stall_secs)
    }

    pub(super) fn upstream_head(&self) -> Duration {
        Duration::from_secs(self.upstream_head_secs)
    }

    pub(super) fn upstream_body_idle(&self) -> Duration {
        Duration::from_secs(self.upstream_body_idle_secs)
    }
}
