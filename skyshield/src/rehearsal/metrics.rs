//! What rehearsals came to, for those who watch.

use prometheus::{Gauge, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::config::Config;
use super::outcome::{Figures, Outcome};
use crate::clock;

/// The gauges of the last rehearsal; clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    runs: IntCounterVec,
    detected: Gauge,
    flagged: Gauge,
    time_to_ban: Gauge,
    requests: IntGaugeVec,
    failed: IntGauge,
    last: IntGauge,
}

impl Metrics {
    /// The gauges, registered.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            runs: IntCounterVec::new(
                Opts::new("skyshield_rehearsals_total", "Rehearsals of the configuration in force"),
                &["result"],
            )?,
            detected: Gauge::new(
                "skyshield_rehearsal_detected_ratio",
                "Of the attacks of the last rehearsal, the share that was refused",
            )?,
            flagged: Gauge::new(
                "skyshield_rehearsal_flagged_ratio",
                "Of the honest requests of the last rehearsal, the share that was refused",
            )?,
            time_to_ban: Gauge::new(
                "skyshield_rehearsal_time_to_ban_seconds",
                "From an attack's last byte to its sender's ban, at the 99th of a hundred",
            )?,
            requests: IntGaugeVec::new(
                Opts::new(
                    "skyshield_rehearsal_requests",
                    "Requests of the last rehearsal, and what became of them",
                ),
                &["label", "result"],
            )?,
            failed: IntGauge::new(
                "skyshield_rehearsal_failed",
                "1 while the last rehearsal was worse than `rehearsal` allows",
            )?,
            last: IntGauge::new(
                "skyshield_rehearsal_timestamp_seconds",
                "When was rehearsed last, in seconds since 1970",
            )?,
        };
        registry.register(Box::new(metrics.runs.clone()))?;
        registry.register(Box::new(metrics.detected.clone()))?;
        registry.register(Box::new(metrics.flagged.clone()))?;
        registry.register(Box::new(metrics.time_to_ban.clone()))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.failed.clone()))?;
        registry.register(Box::new(metrics.last.clone()))?;
        Ok(metrics)
    }

    /// Takes up what a rehearsal came to, and tells where that is worse than allowed.
    pub(super) fn tell(&self, outcome: &Outcome, config: &Config) {
        let Figures { detected, flagged } = outcome.figures();
        let is_good = detected >= config.least_detected && flagged <= config.most_flagged;
        self.runs.with_label_values(&[if is_good { "good" } else { "failed" }]).inc();
        self.detected.set(detected);
        self.flagged.set(flagged);
        self.time_to_ban.set(outcome.time_to_ban_ms.p99 / 1e3);
        self.failed.set(i64::from(!is_good));
        let since_epoch = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.last.set(since_epoch.as_secs().cast_signed());
        let (attack, legit) = (&outcome.total.attack, &outcome.total.legit);
        for (label, result, count) in [
            ("attack", "refused", attack.detected),
            ("attack", "passed", attack.n - attack.detected),
            ("legit", "refused", legit.flagged),
            ("legit", "passed", legit.n - legit.flagged),
        ] {
            self.requests.with_label_values(&[label, result]).set(count.cast_signed());
        }
        if is_good {
            tracing::info!(detected, flagged, "the configuration in force was rehearsed");
        } else {
            tracing::error!(
                detected, flagged, missed = ?outcome.missed, refused = ?outcome.flagged,
                "a rehearsal of the configuration in force went worse than allowed"
            );
        }
    }
}
