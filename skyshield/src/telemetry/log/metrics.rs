//! What destinations of logs did not take.

use prometheus::core::{Collector as Collects, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, Opts};

use super::sink::Counts;

/// Lines that were lost, by destination and cause; read whenever the metrics page is.
#[derive(Debug)]
pub struct Collector {
    sinks: Vec<(&'static str, Counts)>,
    lost: IntCounterVec,
}

impl Collector {
    pub(super) fn new(sinks: Vec<(&'static str, Counts)>) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "skyshield_log_lines_lost_total",
            "Log lines that were not written: their destination's queue was full, or it did not take them.",
        );
        Ok(Self { sinks, lost: IntCounterVec::new(opts, &["destination", "cause"])? })
    }
}

impl Collects for Collector {
    fn desc(&self) -> Vec<&Desc> {
        self.lost.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (name, counts) in &self.sinks {
            for (cause, total) in [("queue_full", counts.overflowed()), ("failed", counts.failed())] {
                let counter = self.lost.with_label_values(&[name, cause]);
                counter.inc_by(total.saturating_sub(counter.get()));
            }
        }
        self.lost.collect()
    }
}
