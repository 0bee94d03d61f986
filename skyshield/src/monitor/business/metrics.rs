//! The business on the metrics page. Labels are names of the configuration.

use std::collections::HashMap;

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::config::{Config, Kind};
use super::group::{Group, Memory};
use super::{DAY, HOUR, begin};
use crate::store::Reader;

/// The metrics; what has come of the day so far.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) batches: IntCounterVec,
    pub(super) lost: IntCounter,
    events: IntCounterVec,
    today: IntGaugeVec,
    users: GaugeVec,
    day: i64,
    sums: HashMap<(usize, usize), i64>,
}

impl Metrics {
    /// The metrics, registered; `now` in seconds since 1970.
    pub(super) fn new(
        registry: &Registry,
        config: &Config,
        reader: &Reader,
        now: i64,
    ) -> anyhow::Result<Self> {
        let metrics = Self {
            batches: IntCounterVec::new(
                Opts::new(
                    "skyshield_business_batches_total",
                    "Batches of business events, by what became of them.",
                ),
                &["outcome"],
            )?,
            lost: IntCounter::new(
                "skyshield_business_observed_lost_total",
                "Users and requests that rules saw and that were not counted: the queue was full, or the disk refused.",
            )?,
            events: IntCounterVec::new(
                Opts::new(
                    "skyshield_business_events_total",
                    "Business events counted since the daemon started.",
                ),
                &["kind"],
            )?,
            today: IntGaugeVec::new(
                Opts::new(
                    "skyshield_business_today",
                    "What the day (UTC) has come to: events, or amounts in the currency's minor unit.",
                ),
                &["kind", "currency"],
            )?,
            users: GaugeVec::new(
                Opts::new(
                    "skyshield_business_users",
                    "Different users in the hour and the day (UTC) so far.",
                ),
                &["kind", "window"],
            )?,
            day: begin(now, DAY),
            sums: HashMap::new(),
        };
        registry.register(Box::new(metrics.batches.clone()))?;
        registry.register(Box::new(metrics.lost.clone()))?;
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.today.clone()))?;
        registry.register(Box::new(metrics.users.clone()))?;
        let mut metrics = metrics;
        for row in reader.business_totals(HOUR, metrics.day, metrics.day + DAY)? {
            let Some(kind) = config.kinds.iter().position(|kind| kind.name == row.kind) else { continue };
            let Some(declared) = config.kinds.get(kind) else { continue };
            let currency = declared.currencies.iter().position(|code| *code == row.currency).unwrap_or(0);
            let value = if declared.kind == Kind::Sum { row.sum } else { row.count };
            *metrics.sums.entry((kind, currency)).or_default() += value;
        }
        metrics.show(config);
        Ok(metrics)
    }

    /// Takes in a group that was counted.
    pub(super) fn counted(&mut self, group: &Group, config: &Config, now: i64) {
        if begin(now, DAY) != self.day {
            self.day = begin(now, DAY);
            self.sums.clear();
        }
        for (kind, currency, at, count, sum) in group.hours() {
            let Some(declared) = config.kinds.get(kind) else { continue };
            self.events.with_label_values(&[&declared.name]).inc_by(count.unsigned_abs());
            if begin(at, DAY) == self.day {
                let value = if declared.kind == Kind::Sum { sum } else { count };
                let today = self.sums.entry((kind, currency)).or_default();
                *today = today.saturating_add(value);
            }
        }
        self.show(config);
    }

    /// How many users there are, as far as the daemon has counted any since it started.
    pub(super) fn show_users(&self, memory: &Memory, config: &Config, now: i64) {
        for (at, kind) in config.kinds.iter().enumerate().filter(|(_, kind)| kind.kind == Kind::Unique) {
            for (window, length) in [("hour", HOUR), ("day", DAY)] {
                self.users
                    .with_label_values(&[&kind.name, window])
                    .set(memory.users(at, length, now).round());
            }
        }
    }

    fn show(&self, config: &Config) {
        for (at, kind) in config.kinds.iter().enumerate().filter(|(_, kind)| kind.kind != Kind::Unique) {
            let codes = kind.currencies.iter().map(String::as_str).enumerate();
            let none = kind.currencies.is_empty().then_some((0, ""));
            for (currency, code) in codes.chain(none) {
                let value = self.sums.get(&(at, currency)).copied().unwrap_or(0);
                self.today.with_label_values(&[&kind.name, code]).set(value);
            }
        }
    }
}
