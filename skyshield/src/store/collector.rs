//! The store's counters as metrics.

use prometheus::core::{Collector as _, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, Opts};

use super::Counters;
use super::checkpoint::PAGE;

/// Reads the writer's counters at each scrape.
pub struct Collector {
    counters: Counters,
    records: Opts,
    checkpoints: Opts,
    log: Opts,
    descriptions: Vec<Desc>,
}

impl Collector {
    /// A collector over `counters`.
    pub fn new(counters: Counters) -> Result<Self, prometheus::Error> {
        let records = Opts::new(
            "skyshield_store_records_total",
            "Records by what became of them: written, refused for a full queue, dropped because the disk refused \
             for too long; and commits that failed and were tried again",
        );
        let checkpoints = Opts::new(
            "skyshield_store_checkpoints_total",
            "Times that the store's log was worked off: beside the commits, in one because it had outgrown its \
             bound, or not, because the disk refused",
        );
        let log = Opts::new("skyshield_store_log_bytes", "What is in the store's log after the last commit");
        let mut descriptions = Vec::new();
        for described in [&records, &checkpoints] {
            descriptions
                .extend(IntCounterVec::new(described.clone(), &["outcome"])?.desc().into_iter().cloned());
        }
        descriptions.extend(IntGauge::with_opts(log.clone())?.desc().into_iter().cloned());
        Ok(Self { counters, records, checkpoints, log, descriptions })
    }
}

impl prometheus::core::Collector for Collector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counters = &self.counters;
        let records = [
            ("written", counters.written()),
            ("refused", counters.refused()),
            ("dropped", counters.dropped()),
            ("commit_failed", counters.failed_commits()),
        ];
        let checkpoints = [
            ("beside", counters.checkpoints()),
            ("in_commit", counters.checkpoints_in_commit()),
            ("failed", counters.failed_checkpoints()),
        ];
        let mut families = outcomes(&self.records, &records);
        families.extend(outcomes(&self.checkpoints, &checkpoints));
        if let Ok(log) = IntGauge::with_opts(self.log.clone()) {
            log.set(i64::try_from(counters.log_pages() * u64::from(PAGE)).unwrap_or(i64::MAX));
            families.extend(log.collect());
        }
        families
    }
}

fn outcomes(opts: &Opts, counts: &[(&str, u64)]) -> Vec<MetricFamily> {
    let Ok(counted) = IntCounterVec::new(opts.clone(), &["outcome"]) else { return Vec::new() };
    for (outcome, count) in counts {
        counted.with_label_values(&[*outcome]).inc_by(*count);
    }
    counted.collect()
}
