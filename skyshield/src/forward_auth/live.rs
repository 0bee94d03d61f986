//! What questions are answered by, and how a new configuration takes its place between two of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::awaited::{Awaited, Refused};
use super::config::{BodyOverLimit, Config, Door, OnFailure};
use super::metrics::{DoorMetrics, Metrics};
use crate::verdict::Judge;

/// What a question is answered by from its first byte to its answer.
pub(super) struct Shared {
    pub(super) judge: Judge,
    pub(super) deadline: Duration,
    pub(super) on_failure: OnFailure,
    pub(super) inspected_body_bytes: usize,
    pub(super) body_over_limit: BodyOverLimit,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    fn new(config: &Config, judge: Judge) -> Self {
        Self {
            judge,
            deadline: Duration::from_millis(config.deadline_millis),
            on_failure: config.on_failure,
            inspected_body_bytes: config.inspected_body_bytes,
            body_over_limit: config.body_over_limit,
        }
    }
}

/// What outlives every change of it.
#[derive(Debug)]
pub(super) struct Live {
    shared: ArcSwap<Shared>,
    pub(super) held: Held,
    /// Nothing where nobody tells of outcomes.
    pub(super) told: Option<Told>,
    pub(super) doors: Vec<OpenDoor>,
    pub(super) connections: usize,
}

/// One door, and what is counted and said of it.
#[derive(Debug)]
pub(super) struct OpenDoor {
    pub(super) door: Door,
    pub(super) metrics: DoorMetrics,
    pub(super) seldom: Seldom,
}

/// Lets a log have one line every so often, however often there is reason for it: the counters know.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        const EVERY: Duration = Duration::from_secs(10);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= EVERY);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// What is remembered until outcomes are told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) awaited: Awaited,
    pub(super) refused: Refused,
}

impl Live {
    pub(super) fn new(config: &Config, judge: Judge, metrics: &Metrics) -> Self {
        let mut start = [0; 8];
        // Without randomness ids of an earlier life may be taken for ours: a request is told of wrongly.
        let _unlikely = getrandom::fill(&mut start);
        let told = (!config.outcomes.is_empty()).then(|| Told {
            awaited: Awaited::new(config.awaited, u64::from_ne_bytes(start), metrics.forgotten.clone()),
            refused: Refused::default(),
        });
        let doors = config.doors.iter().map(|door| OpenDoor {
            door: door.clone(),
            metrics: metrics.of_door(door.name()),
            seldom: Seldom::default(),
        });
        Self {
            shared: ArcSwap::from_pointee(Shared::new(config, judge)),
            held: Held { bytes: AtomicUsize::new(0), limit: AtomicUsize::new(config.held_body_bytes) },
            told,
            doors: doors.collect(),
            connections: config.connections,
        }
    }

    /// What a question that comes now is answered by.
    pub(super) fn load(&self) -> Arc<Shared> {
        self.shared.load_full()
    }
}

/// The handle to forward-auth while it serves.
#[derive(Clone, Debug)]
pub struct Handle(pub(super) Arc<Live>);

impl Handle {
    /// From the next question on, answers go by `config` and `judge`. Doors and outcomes stay as they are.
    pub fn reload(&self, config: &Config, judge: Judge) {
        let Self(live) = self;
        live.held.limit.store(config.held_body_bytes, Ordering::Relaxed);
        live.shared.store(Arc::new(Shared::new(config, judge)));
    }
}

/// The body bytes that are held at a time.
#[derive(Debug)]
pub(super) struct Held {
    bytes: AtomicUsize,
    limit: AtomicUsize,
}

/// A question's share of them, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share<'h> {
    held: &'h Held,
    bytes: usize,
}

impl Held {
    /// Room for `bytes` more, if there is so much.
    pub(super) fn take(&self, bytes: usize) -> Option<Share<'_>> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let share = Share { held: self, bytes };
        (before.saturating_add(bytes) <= self.limit.load(Ordering::Relaxed)).then_some(share)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.held.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
