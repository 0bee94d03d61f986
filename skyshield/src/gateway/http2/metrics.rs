//! What is counted of HTTP/2.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::frames::Kind;
use super::meter::Excess;

/// Which limit a stream met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Connection,
    Source,
}

/// Counters of HTTP/2. Clones count together.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Metrics {
    pub(super) connections: IntCounter,
    /// Ended before they were any.
    pub(super) cut: IntCounter,
    control_frames: IntCounter,
    resets: IntCounter,
    violations: IntCounter,
    frames: [IntCounter; 9],
    refused_connection: IntCounter,
    refused_source: IntCounter,
}

impl Metrics {
    pub(in crate::gateway) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, label: &str| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let connections =
            IntCounter::new("skyshield_http2_connections_total", "Connections that spoke HTTP/2.")?;
        registry.register(Box::new(connections.clone()))?;
        let closed = counters(
            "skyshield_http2_connections_closed_total",
            "Connections of HTTP/2 that were closed on clients, by what they did.",
            "cause",
        )?;
        let frames =
            counters("skyshield_http2_frames_total", "Frames that came from clients, by kind.", "kind")?;
        let refused = counters(
            "skyshield_http2_streams_refused_total",
            "Streams that were refused, by the limit they met.",
            "limit",
        )?;
        let kinds = [
            "data",
            "headers",
            "priority",
            "rst_stream",
            "settings",
            "ping",
            "window_update",
            "continuation",
            "other",
        ];
        Ok(Self {
            connections,
            cut: closed.with_label_values(&["no_preface"]),
            control_frames: closed.with_label_values(&[Excess::ControlFrames.name()]),
            resets: closed.with_label_values(&[Excess::Resets.name()]),
            violations: closed.with_label_values(&["violation"]),
            frames: kinds.map(|kind| frames.with_label_values(&[kind])),
            refused_connection: refused.with_label_values(&["connection"]),
            refused_source: refused.with_label_values(&["source"]),
        })
    }

    pub(super) fn frame(&self, kind: Kind) {
        if let Some(counter) = self.frames.get(kind as usize) {
            counter.inc();
        }
    }

    pub(super) fn exceeded(&self, excess: Excess) {
        match excess {
            Excess::ControlFrames => self.control_frames.inc(),
            Excess::Resets => self.resets.inc(),
        }
    }

    /// Counts the end of a connection that the library ended; a network's failure is nobody's act.
    pub(super) fn failed(&self, error: &h2::Error) {
        if error.is_library() {
            self.violations.inc();
        }
    }

    pub(super) fn refused(&self, limit: Refused) {
        match limit {
            Refused::Connection => self.refused_connection.inc(),
            Refused::Source => self.refused_source.inc(),
        }
    }
}
