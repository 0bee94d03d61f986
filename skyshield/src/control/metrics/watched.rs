//! What is counted of sources that are watched, slowed down or excepted.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The counters; clones count into the same.
#[derive(Clone, Debug)]
pub(in crate::control) struct Watched {
    pub(in crate::control) exceptions_used: IntCounter,
    pub(in crate::control) outcomes_dropped: IntCounter,
    pub(in crate::control) behaviour: IntCounterVec,
    pub(in crate::control) behaviour_evicted: IntCounter,
    pub(in crate::control) shaped: IntGauge,
    pub(in crate::control) shapes_refused: IntCounter,
    pub(in crate::control) rulings: IntGaugeVec,
    pub(in crate::control) armed: IntGauge,
    pub(in crate::control) not_armed: IntCounter,
    pub(in crate::control) near_misses_dropped: IntCounter,
    pub(in crate::control) unwanted: IntCounterVec,
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
            rulings: IntGaugeVec::new(
                Opts::new("skyshield_rulings_in_force", "Rulings about networks, countries, users and rates"),
                &["kind"],
            )?,
            near_misses_dropped: IntCounter::new(
                "skyshield_near_misses_dropped_total",
                "Requests that passed although something spoke against them, and were not kept",
            )?,
            armed: IntGauge::new(
                "skyshield_address_bans_armed",
                "1 while detectors ban addresses; 0 while most requests come by a proxy that is not trusted",
            )?,
            not_armed: IntCounter::new(
                "skyshield_address_bans_not_armed_total",
                "Detectors' bans that were not made because addresses do not stand for clients",
            )?,
            unwanted: IntCounterVec::new(
                Opts::new(
                    "skyshield_unwanted_refused_total",
                    "Requests refused at the doors for the list that their source is on, or the policy on its place",
                ),
                &["by", "name"],
            )?,
        };
        registry.register(Box::new(watched.unwanted.clone()))?;
        registry.register(Box::new(watched.exceptions_used.clone()))?;
        registry.register(Box::new(watched.outcomes_dropped.clone()))?;
        registry.register(Box::new(watched.behaviour.clone()))?;
        registry.register(Box::new(watched.behaviour_evicted.clone()))?;
        registry.register(Box::new(watched.shaped.clone()))?;
        registry.register(Box::new(watched.shapes_refused.clone()))?;
        registry.register(Box::new(watched.rulings.clone()))?;
        registry.register(Box::new(watched.armed.clone()))?;
        registry.register(Box::new(watched.not_armed.clone()))?;
        registry.register(Box::new(watched.near_misses_dropped.clone()))?;
        watched.armed.set(1);
        Ok(watched)
    }
}
