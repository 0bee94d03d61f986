//! What alerts came to, on the metrics page.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::config::Severity;

/// The counters; clones count together.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    firing: IntGaugeVec,
    begun: IntCounterVec,
    notices: IntCounterVec,
    pub(super) refused: IntCounter,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            firing: IntGaugeVec::new(
                Opts::new("skyshield_alerts_firing", "Alerts that fire now."),
                &["severity"],
            )?,
            begun: IntCounterVec::new(
                Opts::new("skyshield_alerts_total", "Alerts that have begun."),
                &["severity"],
            )?,
            notices: IntCounterVec::new(
                Opts::new(
                    "skyshield_alert_notices_total",
                    "Messages by receiver and what came of them: sent; failed, and tried again; refused, given up \
                     after a day, dropped for a full queue, or unreadable.",
                ),
                &["receiver", "outcome"],
            )?,
            refused: IntCounter::new(
                "skyshield_alerts_refused_total",
                "Alerts that were not begun because too many are watched.",
            )?,
        };
        registry.register(Box::new(metrics.firing.clone()))?;
        registry.register(Box::new(metrics.begun.clone()))?;
        registry.register(Box::new(metrics.notices.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
            metrics.set_firing(severity, 0);
            metrics.begun.with_label_values(&[severity.name()]);
        }
        Ok(metrics)
    }

    pub(super) fn count(&self, receiver: &str, outcome: &str) {
        self.notices.with_label_values(&[receiver, outcome]).inc();
    }

    pub(super) fn begun(&self, severity: Severity) {
        self.begun.with_label_values(&[severity.name()]).inc();
    }

    pub(super) fn set_firing(&self, severity: Severity, count: usize) {
        self.firing.with_label_values(&[severity.name()]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
