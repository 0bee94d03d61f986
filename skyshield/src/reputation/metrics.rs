//! What is counted of providers and lists. Labels are names from the configuration, and outcomes.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

/// The counters; clones count into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) lookups: IntCounterVec,
    pub(super) budget: IntGaugeVec,
    pub(super) known: IntGaugeVec,
    pub(super) waiting: IntGaugeVec,
    pub(super) wonders_dropped: IntCounter,
    pub(super) unpublished: IntCounter,
    pub(super) reports: IntCounterVec,
    pub(super) feed_entries: IntGaugeVec,
    pub(super) feed_success: IntGaugeVec,
    pub(super) feed_refused: IntGaugeVec,
    pub(super) feed_failing: IntGaugeVec,
    pub(super) feed_fetches: IntCounterVec,
    pub(super) feed_hits: IntCounterVec,
}

impl Metrics {
    /// The counters, registered.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, label: &str| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let single = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            lookups: counter(
                "skyshield_reputation_lookups_total",
                "Questions to a provider, by what came of them",
                &["provider", "result"],
            )?,
            budget: gauge(
                "skyshield_reputation_budget_remaining",
                "Questions that are left of today's budget",
                "provider",
            )?,
            known: gauge(
                "skyshield_reputation_known",
                "Sources that a provider's opinion is kept of",
                "provider",
            )?,
            waiting: gauge(
                "skyshield_reputation_waiting",
                "Sources that wait to be asked about",
                "provider",
            )?,
            wonders_dropped: single(
                "skyshield_reputation_wonders_dropped_total",
                "Sources that were not asked about because too many waited",
            )?,
            unpublished: single(
                "skyshield_reputation_unpublished_total",
                "Opinions that requests were not shown because there was no room",
            )?,
            reports: counter(
                "skyshield_reputation_reports_total",
                "Reports of attackers to AbuseIPDB, by what came of them",
                &["result"],
            )?,
            feed_entries: gauge("skyshield_feed_entries", "Ranges of a list in force", "feed")?,
            feed_success: gauge(
                "skyshield_feed_last_success_timestamp_seconds",
                "When a list was last fetched and found good, in seconds since 1970",
                "feed",
            )?,
            feed_refused: gauge(
                "skyshield_feed_refused",
                "1 while the last list that came was refused, for having shrunk above all",
                "feed",
            )?,
            feed_failing: gauge(
                "skyshield_feed_failing",
                "1 while the last fetch brought no good list",
                "feed",
            )?,
            feed_fetches: counter(
                "skyshield_feed_fetches_total",
                "Fetches of a list, by what came of them",
                &["feed", "result"],
            )?,
            feed_hits: counter(
                "skyshield_feed_hits_total",
                "Requests at the doors from sources on a list",
                &["feed"],
            )?,
        })
    }
}
