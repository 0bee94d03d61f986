//! What happens, told to whoever follows: the admin API's live stream, and programs that mirror the decisions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::engine::decision::{Decision, DecisionId, Ended};
use crate::store::IncidentRow;

/// Changes to decisions that may wait to be passed on.
const CHANGES: usize = 8192;
/// Incidents that may wait to be passed on: a flood of them takes no change's place.
const INCIDENTS: usize = 1024;

/// A change to what is in force.
#[derive(Clone, Debug)]
pub enum Change {
    /// A decision came into force, or lasts longer.
    Made(Box<Decision>),
    /// A decision ended.
    Ended(DecisionId, Ended),
}

/// What follows gets.
#[derive(Debug)]
pub struct Happenings {
    /// Changes to decisions, in their order.
    pub changes: mpsc::Receiver<Change>,
    /// Flagged requests.
    pub incidents: mpsc::Receiver<Box<IncidentRow>>,
    lost: Arc<AtomicU64>,
}

impl Happenings {
    /// Changes that found no room, since the start: where it grows, whoever mirrors has missed some.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }
}

/// The control task's end.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    changes: mpsc::Sender<Change>,
    incidents: mpsc::Sender<Box<IncidentRow>>,
    lost: Arc<AtomicU64>,
    /// Until somebody follows.
    waiting: Arc<Mutex<Option<Happenings>>>,
}

impl Teller {
    pub(super) fn new() -> Self {
        let (changes, changes_taken) = mpsc::channel(CHANGES);
        let (incidents, incidents_taken) = mpsc::channel(INCIDENTS);
        let lost = Arc::<AtomicU64>::default();
        let happenings =
            Happenings { changes: changes_taken, incidents: incidents_taken, lost: Arc::clone(&lost) };
        Self { changes, incidents, lost, waiting: Arc::new(Mutex::new(Some(happenings))) }
    }

    /// What happens from the start on; only the first who asks follows.
    pub(super) fn follow(&self) -> Option<Happenings> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Never waits: what finds no room is counted.
    pub(super) fn change(&self, change: Change) {
        if self.changes.try_send(change).is_err() {
            self.lost.fetch_add(1, Ordering::Release);
        }
    }

    /// Never waits: a flood is not watched line by line, and every incident is in the store.
    pub(super) fn incident(&self, incident: &IncidentRow) {
        if let Ok(place) = self.incidents.try_reserve() {
            place.send(Box::new(incident.clone()));
        }
    }
}
