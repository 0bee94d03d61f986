//! One list between two fetches: what is in force of it, when it is due, and what is wrong with it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{FeedState, disk};
use crate::clock;
use crate::engine::feeds::{Feed, Measure, admit, parse};
use crate::engine::ranges::Ranges;

/// What is known of a list from its last good fetch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KnownOf {
    /// Where it came from: another address makes it another list.
    pub(super) url: String,
    /// Its `ETag`.
    pub(super) etag: Option<String>,
    /// Its `Last-Modified`.
    pub(super) modified: Option<String>,
    /// When it came, in milliseconds since 1970.
    pub(super) fetched_at_ms: Option<i64>,
    /// How much was on it.
    pub(super) measure: Option<Measure>,
}

pub(super) struct Slot {
    pub(super) feed: Feed,
    pub(super) known: KnownOf,
    pub(super) ranges: Option<Arc<Ranges>>,
    pub(super) hits: Arc<AtomicU64>,
    pub(super) is_fetching: bool,
    pub(super) accept: bool,
    /// Whether the last list that came was refused.
    pub(super) is_refused: bool,
    due_at: Instant,
    problem: Option<String>,
}

/// A list that failed is tried again after this part of its period.
const SOONER: u64 = 24;
/// And not before this many seconds.
const SOONEST_SECS: u64 = 600;

impl Slot {
    /// The list as it was kept, where it was; else it is due at once.
    pub(super) fn recall(feed: &Feed, page: Option<&str>, dir: &Path, protected: &Ranges) -> Self {
        let now = clock::now();
        let known: KnownOf = page.and_then(|page| serde_json::from_str(page).ok()).unwrap_or_default();
        let mut slot = Self {
            feed: feed.clone(),
            known: KnownOf::default(),
            ranges: None,
            hits: Arc::default(),
            is_fetching: false,
            accept: false,
            is_refused: false,
            due_at: now,
            problem: None,
        };
        if known.url != feed.url {
            return slot;
        }
        let text = disk::read(dir, &feed.name, feed.max_bytes);
        let parsed =
            text.and_then(|text| parse(&text, feed.format, feed.column.as_deref(), feed.max_entries).ok());
        let admitted = parsed.and_then(|parsed| admit(&parsed.nets, protected, feed.max_share, None).ok());
        if let Some((ranges, _)) = admitted {
            let ms = known.fetched_at_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default();
            let age =
                clock::wall().duration_since(UNIX_EPOCH + Duration::from_millis(ms)).unwrap_or_default();
            slot.due_at = now + Duration::from_secs(feed.every_secs).saturating_sub(age);
            slot.ranges = Some(Arc::new(ranges));
            slot.known = known;
        }
        slot
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.is_fetching && now >= self.due_at
    }

    /// Has it fetched now.
    pub(super) fn hurry(&mut self, accept: bool, now: Instant) {
        self.due_at = now;
        self.accept |= accept;
    }

    pub(super) fn take(&mut self, ranges: Ranges, known: KnownOf, now: Instant) {
        self.ranges = Some(Arc::new(ranges));
        self.same(known, now);
    }

    pub(super) fn same(&mut self, known: KnownOf, now: Instant) {
        (self.known, self.problem, self.accept, self.is_fetching) = (known, None, false, false);
        self.is_refused = false;
        self.due_at = now + Duration::from_secs(self.feed.every_secs);
    }

    pub(super) fn fail(&mut self, problem: String, now: Instant) {
        (self.problem, self.accept, self.is_fetching) = (Some(problem), false, false);
        let secs = (self.feed.every_secs / SOONER).max(SOONEST_SECS);
        self.due_at = now + Duration::from_secs(secs);
    }

    /// Whether the last fetch brought no good list.
    pub(super) fn is_failing(&self) -> bool {
        self.problem.is_some()
    }

    pub(super) fn put_off(&mut self, problem: &str, now: Instant) {
        self.fail(problem.to_owned(), now);
    }

    pub(super) fn state(&self, now: Instant) -> FeedState {
        FeedState {
            name: self.feed.name.clone(),
            action: self.feed.action.name(),
            in_force: self.known.measure.filter(|_| self.ranges.is_some()),
            fetched_at_ms: self.known.fetched_at_ms,
            next_in_secs: self.due_at.saturating_duration_since(now).as_secs(),
            hits: self.hits.load(Ordering::Relaxed),
            problem: self.problem.clone(),
        }
    }
}
