//! What became of what was to be reported.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus::core::{Collector as Collects, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, Opts};

use crate::clock;

/// How a report ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Sent,
    Failed,
    Refused,
    RateLimited,
    QueueFull,
    OverBudget,
    Unreadable,
}

const OUTCOMES: [(Outcome, &str); 7] = [
    (Outcome::Sent, "sent"),
    (Outcome::Failed, "failed"),
    (Outcome::Refused, "refused"),
    (Outcome::RateLimited, "rate_limited"),
    (Outcome::QueueFull, "queue_full"),
    (Outcome::OverBudget, "over_budget"),
    (Outcome::Unreadable, "unreadable"),
];

/// Counts reports by how they ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(Arc<[AtomicU64; OUTCOMES.len()]>);

impl Counts {
    pub(super) fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn over_budget(&self) {
        self.count(Outcome::OverBudget);
    }

    pub(super) fn unreadable(&self) {
        self.count(Outcome::Unreadable);
    }

    #[cfg(test)]
    pub(super) fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize].load(Ordering::Relaxed)
    }
}

/// Reports by how they ended; read whenever the metrics page is.
#[derive(Debug)]
pub struct Collector {
    counts: Counts,
    reports: IntCounterVec,
}

impl Collector {
    pub(super) fn new(counts: Counts) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "skyshield_sentry_reports_total",
            "Faults and traces for Sentry, by what became of them; all but `sent` are lost.",
        );
        Ok(Self { counts, reports: IntCounterVec::new(opts, &["result"])? })
    }
}

impl Collects for Collector {
    fn desc(&self) -> Vec<&Desc> {
        self.reports.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (outcome, name) in OUTCOMES {
            let counter = self.reports.with_label_values(&[name]);
            let total = self.counts.0[outcome as usize].load(Ordering::Relaxed);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        self.reports.collect()
    }
}

/// So many reports a minute.
#[derive(Debug)]
pub(super) struct Budget {
    per_minute: u32,
    minute: Mutex<(Instant, u32)>,
}

impl Budget {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, minute: Mutex::new((clock::now(), 0)) }
    }

    /// Takes one, where there is one left.
    pub(super) fn take(&self) -> bool {
        self.take_at(clock::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let Ok(mut minute) = self.minute.lock() else { return false };
        let (began, taken) = &mut *minute;
        if now.saturating_duration_since(*began) >= Duration::from_mins(1) {
            (*began, *taken) = (now, 0);
        }
        let is_left = *taken < self.per_minute;
        *taken += u32::from(is_left);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_its_budget_and_the_next_has_another() {
        let budget = Budget::new(2);
        let now = clock::now();
        assert_eq!([(); 3].map(|()| budget.take_at(now)), [true, true, false]);
        assert!(budget.take_at(now + Duration::from_secs(61)));
    }
}
