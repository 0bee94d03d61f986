//! What is counted of each upstream. Labels are names of the configuration, never of a client's.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::counters;

/// The counters of one upstream.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct UpstreamMetrics {
    pub(in crate::gateway) up: IntGauge,
    pub(in crate::gateway) requests: IntCounter,
    pub(in crate::gateway) failures: IntCounter,
    pub(in crate::gateway) checks_passed: IntCounter,
    pub(in crate::gateway) checks_failed: IntCounter,
    pub(in crate::gateway) lookups_failed: IntCounter,
}

/// Those of all of them.
#[derive(Clone, Debug)]
pub(super) struct UpstreamFamilies {
    up: IntGaugeVec,
    requests: IntCounterVec,
    failures: IntCounterVec,
    checks: IntCounterVec,
    lookups_failed: IntCounterVec,
}

const LABELS: [&str; 2] = ["site", "upstream"];

impl UpstreamFamilies {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let up = IntGaugeVec::new(
            Opts::new(
                "skyshield_upstream_up",
                "Whether an upstream gets requests: 0 where it rests or is down.",
            ),
            &LABELS,
        )?;
        registry.register(Box::new(up.clone()))?;
        Ok(Self {
            up,
            requests: counters(
                registry,
                "skyshield_upstream_requests_total",
                "Requests given to an upstream, those that did not reach it among them.",
                &LABELS,
            )?,
            failures: counters(
                registry,
                "skyshield_upstream_failures_total",
                "Requests that got no whole answer from an upstream.",
                &LABELS,
            )?,
            checks: counters(
                registry,
                "skyshield_upstream_checks_total",
                "Checks of an upstream, by what came of them.",
                &["site", "upstream", "result"],
            )?,
            lookups_failed: counters(
                registry,
                "skyshield_upstream_lookups_failed_total",
                "Questions for the addresses of an upstream's name without an answer.",
                &LABELS,
            )?,
        })
    }

    pub(super) fn of(&self, site: &str, upstream: &str) -> UpstreamMetrics {
        let labels = [site, upstream];
        UpstreamMetrics {
            up: self.up.with_label_values(&labels),
            requests: self.requests.with_label_values(&labels),
            failures: self.failures.with_label_values(&labels),
            checks_passed: self.checks.with_label_values(&[site, upstream, "pass"]),
            checks_failed: self.checks.with_label_values(&[site, upstream, "fail"]),
            lookups_failed: self.lookups_failed.with_label_values(&labels),
        }
    }
}
