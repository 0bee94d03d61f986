//! What is counted of sources that are watched, slowed down or excepted.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The counters; clones count into the same.
#[derive(Clone, Debug)]
pub(in crate::control) struct Watched {
    pub(in crate::control) exceptions_used: IntCounter,
    pub(in crate::control) outcomes_dropped: IntCounter,
    pub(in crate::control) behaviour: IntCounterVec,
    pub(in crate::control) behaviour_evicted: IntCounter,
    pub(in crate::control) shaped: IntGauge,
    pub(in crate::control) shapes_refused: IntCounter,
}

impl Watched {
    /// The counters, registered.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let watched = Self {
            exceptions_used: IntCounter::new(
                "skyshield_exceptions_used_total",
                "Findings of requests that operators' exceptions took away, by request and exception",
            )?,
            outcomes_dropped: IntCounter::new(
                "skyshield_outcomes_dropped_total",
                "Answers that the detectors were not told of because the control task could not keep up",
            )?,
            behaviour: IntCounterVec::new(
                Opts::new(
                    "skyshield_behaviour_claims_total",
                    "Sources whose behaviour a detector began to claim against",
                ),
                &["detector"],
            )?,
            behaviour_evicted: IntCounter::new(
                "skyshield_behaviour_evicted_total",
                "Sources whose behaviour was forgotten early, for want of room",
            )?,
            shaped: IntGauge::new(
                "skyshield_shaped_sources",
                "Sources that are held to a lower rate for their score",
            )?,
            shapes_refused: IntCounter::new(
                "skyshield_shapes_refused_total",
                "Sources that were not held to a lower rate because there was no room",
            )?,
        };
        registry.register(Box::new(watched.exceptions_used.clone()))?;
        registry.register(Box::new(watched.outcomes_dropped.clone()))?;
        registry.register(Box::new(watched.behaviour.clone()))?;
        registry.register(Box::new(watched.behaviour_evicted.clone()))?;
        registry.register(Box::new(watched.shaped.clone()))?;
        registry.register(Box::new(watched.shapes_refused.clone()))?;
        Ok(watched)
    }
}
