//! What is counted of those who follow.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// What is counted of readers.
#[derive(Clone)]
pub(super) struct Metrics {
    readers: IntGauge,
    pub(super) dropped: IntCounterVec,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let readers = IntGauge::new("skyshield_stream_readers", "Readers of the live stream")?;
        let dropped = Opts::new(
            "skyshield_stream_dropped_total",
            "Readers of the live stream that were let go: too slow, or one too many; and changes lost before they reached it",
        );
        let dropped = IntCounterVec::new(dropped, &["reason"])?;
        for reason in ["slow", "too_many", "lost"] {
            dropped.with_label_values(&[reason]).inc_by(0);
        }
        registry.register(Box::new(readers.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        Ok(Self { readers, dropped })
    }

    /// Counts a reader, until what is given back is dropped.
    pub(super) fn reader(&self) -> Reading {
        self.readers.inc();
        Reading(self.readers.clone())
    }
}

/// A reader of the stream.
pub(in super::super) struct Reading(IntGauge);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.dec();
    }
}
