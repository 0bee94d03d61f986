//! What is counted of responses. Rules are named in the configuration, and bounded there.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The counters; clones count into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) acts: IntCounterVec,
    pub(super) calls: IntCounterVec,
    pub(super) dropped: IntCounter,
    pub(super) missed: IntCounter,
    pub(super) uncounted: IntCounter,
}

impl Metrics {
    /// The counters, registered.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            acts: IntCounterVec::new(
                Opts::new(
                    "skyshield_response_acts_total",
                    "What rules of response asked for, by what became of it",
                ),
                &["rule", "act", "outcome"],
            )?,
            calls: IntCounterVec::new(
                Opts::new(
                    "skyshield_response_calls_total",
                    "Programs elsewhere that were told, by what came of it",
                ),
                &["result"],
            )?,
            dropped: IntCounter::new(
                "skyshield_response_dropped_total",
                "Responses that were not carried out because there were too many at once",
            )?,
            missed: IntCounter::new(
                "skyshield_response_missed_total",
                "Incidents that no rule of response was asked about because there were too many at once",
            )?,
            uncounted: IntCounter::new(
                "skyshield_response_uncounted_total",
                "Incidents of sources that rules of response had no room to count",
            )?,
        };
        registry.register(Box::new(metrics.acts.clone()))?;
        registry.register(Box::new(metrics.calls.clone()))?;
        registry.register(Box::new(metrics.dropped.clone()))?;
        registry.register(Box::new(metrics.missed.clone()))?;
        registry.register(Box::new(metrics.uncounted.clone()))?;
        Ok(metrics)
    }
}
