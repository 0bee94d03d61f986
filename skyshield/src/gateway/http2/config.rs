//! What the gateway is told of HTTP/2: whether, how many streams, how many frames that ask for nothing.

use serde::{Deserialize, Serialize};

/// The HTTP/2 part of the gateway's section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether HTTP/2 is offered to clients that speak TLS. Default true.
    pub enabled: bool,
    /// Whether clients may begin with HTTP/2 on `gateway.listen`, in the clear. An upgrade to it is
    /// never served. Default false.
    pub cleartext: bool,
    /// Streams of a connection at a time. Beyond it new ones are refused. Default 100.
    pub streams: u32,
    /// Streams at a time of one address (of IPv6, one /64), trusted proxies excepted. Beyond it new ones
    /// are refused. Default 1000.
    pub streams_per_source: usize,
    /// Frames that neither ask nor carry anything (`PING`, `SETTINGS`, `PRIORITY`, `WINDOW_UPDATE`, empty
    /// `DATA`, …), beyond those that our answers and the client's requests account for. A tenth comes back
    /// each second; beyond it the connection is closed. Default 500.
    pub control_frames: u32,
    /// Streams that a client may reset, beyond those it let be answered. A tenth comes back each second;
    /// beyond it the connection is closed. Default 200.
    pub resets: u32,
    /// What a client may send of one body before it is read, in bytes. Default 262144.
    pub stream_window_bytes: u32,
    /// What a client may send of all bodies of a connection before it is read, in bytes. Default 1048576.
    pub connection_window_bytes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            cleartext: false,
            streams: 100,
            streams_per_source: 1000,
            control_frames: 500,
            resets: 200,
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 1024 * 1024,
        }
    }
}

/// What every window begins with, whatever is said (RFC 9113, section 6.9.2).
const LEAST_WINDOW: u32 = 65_535;
/// Beyond it, one connection would hold more than a body that is inspected whole.
const MOST_WINDOW: u32 = 16 * 1024 * 1024;

impl Config {
    /// What is wrong with this section, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let per_source = u32::try_from(self.streams_per_source).unwrap_or(u32::MAX);
        let ranges = [
            ("gateway.http2.streams", self.streams, 1, 10_000),
            ("gateway.http2.streams_per_source", per_source, 1, u32::MAX),
            ("gateway.http2.control_frames", self.control_frames, 10, 1_000_000),
            ("gateway.http2.resets", self.resets, 10, 1_000_000),
            ("gateway.http2.stream_window_bytes", self.stream_window_bytes, LEAST_WINDOW, MOST_WINDOW),
            (
                "gateway.http2.connection_window_bytes",
                self.connection_window_bytes,
                LEAST_WINDOW,
                MOST_WINDOW,
            ),
        ];
        ranges
            .into_iter()
            .find(|&(_, value, least, most)| !(least..=most).contains(&value))
            .map(|(key, value, least, most)| (key, format!("{value} is not between {least} and {most}")))
    }
}
