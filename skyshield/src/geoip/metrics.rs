//! What is counted of databases.

use std::time::UNIX_EPOCH;

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::read::{Facts, Kind};

/// The counters; clones count into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    built: IntGaugeVec,
    stretches: IntGaugeVec,
    reads: IntCounterVec,
}

impl Metrics {
    /// The counters, registered.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["database"]);
        let metrics = Self {
            built: gauge(
                "skyshield_geoip_built_timestamp_seconds",
                "When the database in use was built, in seconds since 1970",
            )?,
            stretches: gauge(
                "skyshield_geoip_stretches",
                "Stretches of addresses that the database in use knows something of",
            )?,
            reads: IntCounterVec::new(
                Opts::new("skyshield_geoip_reads_total", "Databases read, by what became of it"),
                &["database", "result"],
            )?,
        };
        registry.register(Box::new(metrics.built.clone()))?;
        registry.register(Box::new(metrics.stretches.clone()))?;
        registry.register(Box::new(metrics.reads.clone()))?;
        Ok(metrics)
    }

    pub(super) fn taken(&self, kind: Kind, facts: &Facts) {
        let built = facts.built_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.built.with_label_values(&[kind.name()]).set(built.cast_signed());
        let stretches = i64::try_from(facts.stretches).unwrap_or(i64::MAX);
        self.stretches.with_label_values(&[kind.name()]).set(stretches);
        self.reads.with_label_values(&[kind.name(), "taken"]).inc();
    }

    pub(super) fn refused(&self, kind: Kind) {
        self.reads.with_label_values(&[kind.name(), "refused"]).inc();
    }
}
