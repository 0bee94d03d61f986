//! The store's counters as metrics.

use prometheus::IntCounterVec;
use prometheus::Opts;
use prometheus::core::{Collector as _, Desc};
use prometheus::proto::MetricFamily;

use super::Counters;

/// Reads the writer's counters at each scrape.
pub struct Collector {
    counters: Counters,
    opts: Opts,
    descriptions: Vec<Desc>,
}

impl Collector {
    /// A collector over `counters`.
    pub fn new(counters: Counters) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "skyshield_store_records_total",
            "Records by what became of them: written, refused for a full queue, dropped because the disk refused \
             for too long; and commits that failed and were tried again",
        );
        let described = IntCounterVec::new(opts.clone(), &["outcome"])?;
        let descriptions = described.desc().into_iter().cloned().collect();
        Ok(Self { counters, opts, descriptions })
    }
}

impl prometheus::core::Collector for Collector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(records) = IntCounterVec::new(self.opts.clone(), &["outcome"]) else { return Vec::new() };
        for (outcome, count) in [
            ("written", self.counters.written()),
            ("refused", self.counters.refused()),
            ("dropped", self.counters.dropped()),
            ("commit_failed", self.counters.failed_commits()),
        ] {
            records.with_label_values(&[outcome]).inc_by(count);
        }
        records.collect()
    }
}
