//! What the control task counts.

mod watched;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use watched::Watched;

/// Seconds: a kernel entry takes tens of microseconds, a promise is broken at five milliseconds.
const LAG_BUCKETS: [f64; 12] =
    [0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.05, 0.5];

/// The counters; clones count into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) incidents: IntCounterVec,
    pub(super) reports_dropped: IntCounter,
    pub(super) inspection_limits: IntCounterVec,
    pub(super) bans: IntCounterVec,
    pub(super) decisions_in_force: IntGaugeVec,
    pub(super) enforcement_lag: Histogram,
    pub(super) drift: IntGauge,
    pub(super) repairs: IntCounterVec,
    pub(super) dataplane_failures: IntCounter,
    pub(super) map_full: IntCounterVec,
    pub(super) waiting_for_room: IntGauge,
    pub(super) bypassed: IntGauge,
    pub(super) standings_refused: IntCounter,
    pub(super) watched: Watched,
    pub(super) escalation_refused: IntCounter,
    pub(super) unresolved: IntCounter,
    pub(super) map_entries: IntGaugeVec,
    pub(super) map_capacity: IntGaugeVec,
}

impl Metrics {
    /// The counters, registered.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            incidents: IntCounterVec::new(
                Opts::new("skyshield_incidents_total", "Requests flagged for their risk, by what became of them"),
                &["act"],
            )?,
            reports_dropped: IntCounter::new(
                "skyshield_reports_dropped_total",
                "Incidents not recorded because the control queue was full",
            )?,
            inspection_limits: IntCounterVec::new(
                Opts::new("skyshield_inspection_limits_reached_total", "Requests that outgrew a limit of inspection"),
                &["limit"],
            )?,
            bans: IntCounterVec::new(
                Opts::new("skyshield_bans_total", "Bans asked for, by who asked and what became of it"),
                &["origin", "outcome"],
            )?,
            decisions_in_force: IntGaugeVec::new(
                Opts::new("skyshield_decisions_in_force", "Decisions in force, by who decided"),
                &["origin"],
            )?,
            enforcement_lag: Histogram::with_opts(
                HistogramOpts::new(
                    "skyshield_enforcement_lag_seconds",
                    "From the last byte of the request that gave a source away to its entry in the kernel's map",
                )
                .buckets(LAG_BUCKETS.to_vec()),
            )?,
            drift: IntGauge::new(
                "skyshield_enforcement_drift",
                "Entries of the kernel's that differed from the decisions at the last look",
            )?,
            repairs: IntCounterVec::new(
                Opts::new("skyshield_repairs_total", "Differences that the reconciler mended, by kind"),
                &["kind"],
            )?,
            dataplane_failures: IntCounter::new(
                "skyshield_dataplane_failures_total",
                "Changes that the kernel's maps did not take",
            )?,
            map_full: IntCounterVec::new(
                Opts::new("skyshield_map_full_total", "Bans that one of the kernel's maps had no room for"),
                &["map"],
            )?,
            waiting_for_room: IntGauge::new(
                "skyshield_bans_waiting_for_room",
                "Bans that hold at the doors only, because the kernel had no room for them at the last look",
            )?,
            bypassed: IntGauge::new(
                "skyshield_kernel_bypassed",
                "1 while an operator has everything pass in the kernel",
            )?,
            watched: Watched::new(registry)?,
            standings_refused: IntCounter::new(
                "skyshield_standings_refused_total",
                "Sources whose standing was not remembered because there was no room",
            )?,
            escalation_refused: IntCounter::new(
                "skyshield_escalation_refused_total",
                "Banned sources and prefixes that were not remembered because there was no room",
            )?,
            unresolved: IntCounter::new(
                "skyshield_allowlist_names_unresolved_total",
                "Times that a name on the allow list had no answer; its last one stood",
            )?,
            map_entries: IntGaugeVec::new(
                Opts::new("skyshield_map_entries", "What is in each of the kernel's maps of policy"),
                &["map"],
            )?,
            map_capacity: IntGaugeVec::new(
                Opts::new("skyshield_map_capacity", "What fits in each of the kernel's maps of policy"),
                &["map"],
            )?,
        };
        registry.register(Box::new(metrics.incidents.clone()))?;
        registry.register(Box::new(metrics.reports_dropped.clone()))?;
        registry.register(Box::new(metrics.inspection_limits.clone()))?;
        registry.register(Box::new(metrics.bans.clone()))?;
        registry.register(Box::new(metrics.decisions_in_force.clone()))?;
        registry.register(Box::new(metrics.enforcement_lag.clone()))?;
        registry.register(Box::new(metrics.drift.clone()))?;
        registry.register(Box::new(metrics.repairs.clone()))?;
        registry.register(Box::new(metrics.dataplane_failures.clone()))?;
        registry.register(Box::new(metrics.map_full.clone()))?;
        registry.register(Box::new(metrics.waiting_for_room.clone()))?;
        registry.register(Box::new(metrics.bypassed.clone()))?;
        registry.register(Box::new(metrics.standings_refused.clone()))?;
        registry.register(Box::new(metrics.escalation_refused.clone()))?;
        registry.register(Box::new(metrics.unresolved.clone()))?;
        registry.register(Box::new(metrics.map_entries.clone()))?;
        registry.register(Box::new(metrics.map_capacity.clone()))?;
        Ok(metrics)
    }
}
