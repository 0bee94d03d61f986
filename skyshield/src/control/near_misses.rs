//! What passed although something spoke against it is kept for a while, so that a changed configuration
//! can be tried on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Task, records};
use crate::clock;
use crate::engine::incident::Assessment;
use crate::store::{NearMissRow, Record};

/// Near misses that are kept of each second; the rest are counted.
const EACH_SECOND: u32 = 20;

/// How many were kept of the second that is.
#[derive(Debug, Default)]
pub(super) struct Budget {
    began: Option<Instant>,
    kept: u32,
}

impl Budget {
    fn allows(&mut self, now: Instant) -> bool {
        let is_new =
            self.began.is_none_or(|began| now.saturating_duration_since(began) >= Duration::from_secs(1));
        if is_new {
            (self.began, self.kept) = (Some(now), 0);
        }
        self.kept += 1;
        self.kept <= EACH_SECOND
    }
}

impl Task {
    pub(super) fn near_miss(&mut self, route: &Arc<str>, assessment: &Assessment) {
        if !self.near.allows(clock::now()) {
            self.metrics.watched.near_misses_dropped.inc();
            return;
        }
        // Strings and numbers: there is nothing in it that JSON cannot say.
        let assessment = serde_json::to_string(assessment).unwrap_or_default();
        let at_ms = records::millis(clock::wall());
        self.store.append(Record::NearMiss(NearMissRow { at_ms, route: route.to_string(), assessment }));
    }
}
