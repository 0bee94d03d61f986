//! The reconciler: store, ledger and kernel are compared on a period, and what differs is mended.
//!
//! The looking is done off the control task, against the published view: there may be a million bans, and
//! an order must not wait for it. What is found is looked at once more by the task before it is believed.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use super::{Task, records};
use crate::clock;
use crate::dataplane;
use crate::engine::decision::{DecisionId, Ended, Layer};
use crate::engine::reconcile::{Drift, Match, compare, drift, is_missing, is_stray, precedence};
use crate::engine::source::Source;
use crate::engine::view::View;
use crate::store::{Reader, Record};

/// Differences of a kind that one look mends; what is beyond it the next look finds.
pub(super) const MOST: usize = 20_000;
/// Why what is beyond it is not mended yet.
const TOO_MANY: &str = "there is more than one look mends; the next goes on";

/// What was found to differ, as far as one could tell from outside.
#[derive(Debug)]
pub(super) struct Look {
    kernel: Result<Suspects, dataplane::Error>,
    store: rusqlite::Result<Kept>,
}

/// What the kernel and the decisions in force do not seem to agree on.
#[derive(Debug, Default)]
struct Suspects {
    /// The kernel has an entry that is not as it should be.
    found: Vec<Source>,
    /// The kernel has none; in the order in which they are to find room.
    missing: Vec<Source>,
}

/// What came of mending.
#[derive(Debug, Default)]
struct Outcome {
    /// What differed and was to be mended.
    confirmed: usize,
    /// What of it could not be.
    unmended: usize,
    /// What the kernel has no room for.
    waiting: usize,
    /// Maps that are full.
    full: HashSet<&'static str>,
    /// Why something could not be mended.
    reasons: BTreeSet<String>,
}

impl Outcome {
    /// Counts what differs and stays so, for the reason `why`.
    fn left(&mut self, why: &str) {
        self.confirmed += 1;
        self.unmended += 1;
        if !self.reasons.contains(why) {
            self.reasons.insert(why.to_owned());
        }
    }
}

/// What the store and the decisions in force do not agree on.
#[derive(Debug, Default)]
struct Kept {
    /// In force, and not kept.
    unrecorded: Vec<Source>,
    /// Kept as in force, and not so.
    unclosed: Vec<DecisionId>,
}

/// Looks. Blocks.
pub(super) fn look(entries: &dyn dataplane::Reader, store: &Reader, view: &View) -> Look {
    Look { kernel: look_at_kernel(entries, view, clock::now()), store: look_at_store(store, view) }
}

fn look_at_kernel(
    entries: &dyn dataplane::Reader,
    view: &View,
    now: Instant,
) -> Result<Suspects, dataplane::Error> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let mut enforced = HashSet::new();
    for (source, entry) in entries.entries()? {
        let held = view.held(source).filter(|held| held.layer == Layer::Packet);
        let differs = match held {
            None => is_stray(entry.ttl),
            Some(held) => {
                enforced.insert(held.id);
                compare(source, held.remaining(now), entry.ttl) == Match::Differs
            }
        };
        if differs {
            found.push(source);
        }
    }
    view.each_held(|source, held| {
        if held.layer == Layer::Packet && !enforced.contains(&held.id) && is_missing(held.remaining(now)) {
            missing.push((precedence(held.origin, held.until), source));
        }
    });
    missing.sort_unstable();
    Ok(Suspects { found, missing: missing.into_iter().map(|(_, source)| source).collect() })
}

fn look_at_store(store: &Reader, view: &View) -> rusqlite::Result<Kept> {
    let kept = store.numbers_in_force(records::millis(clock::wall()))?;
    let (mut found, mut in_force) = (Kept::default(), Vec::with_capacity(kept.len()));
    view.each_held(|source, held| {
        in_force.push(held.id.0);
        // The numbers come in order.
        if kept.binary_search(&held.id.0).is_err() {
            found.unrecorded.push(source);
        }
    });
    in_force.sort_unstable();
    let unclosed = kept.into_iter().filter(|id| in_force.binary_search(id).is_err());
    found.unclosed = unclosed.map(DecisionId).take(MOST).collect();
    found.unrecorded.truncate(MOST);
    Ok(found)
}

impl Task {
    /// Has a look taken, unless one is being taken.
    pub(super) fn look(&mut self) {
        if !self.looks.is_empty() {
            return;
        }
        match self.enforcer.reader() {
            Ok(entries) => {
                let (store, view) = (self.reader.clone(), std::sync::Arc::clone(&self.view));
                self.looks.spawn_blocking(move || look(entries.as_ref(), &store, &view));
            }
            Err(error) => tracing::error!(%error, "the kernel's maps cannot be read"),
        }
    }

    /// Mends what a look found to differ. The ledger has moved on since, so each difference is
    /// looked at once more before it is believed.
    pub(super) fn mend(&mut self, look: Look) {
        match look.kernel {
            Ok(suspects) => self.mend_kernel(suspects),
            Err(error) => {
                self.metrics.dataplane_failures.inc();
                tracing::error!(%error, "the kernel's maps cannot be read");
            }
        }
        match look.store {
            Ok(kept) => self.mend_store(kept),
            Err(error) => tracing::error!(%error, "the store cannot be read"),
        }
    }

    /// What makes room comes before what needs it.
    fn mend_kernel(&mut self, mut suspects: Suspects) {
        let mut outcome = Outcome::default();
        let beyond = suspects.found.split_off(suspects.found.len().min(MOST));
        for source in suspects.found {
            self.mend_entry(source, &mut outcome);
        }
        for _source in beyond {
            outcome.left(TOO_MANY);
        }
        let mut tried = 0;
        for source in suspects.missing {
            if outcome.full.contains(dataplane::map_of(source)) {
                outcome.waiting += 1;
            } else if tried < MOST {
                tried += 1;
                self.mend_entry(source, &mut outcome);
            } else {
                outcome.left(TOO_MANY);
            }
        }
        self.tell_of_mending(outcome);
    }

    fn mend_entry(&mut self, source: Source, outcome: &mut Outcome) {
        // The kernel follows when the order is on disk, or not at all.
        if self.waiting.contains_key(&source) {
            return;
        }
        let entry = match self.enforcer.get(source) {
            Ok(entry) => entry,
            Err(error) => {
                // It differed when it was looked for, and nothing says that it does not.
                outcome.left(&error.to_string());
                self.metrics.dataplane_failures.inc();
                return;
            }
        };
        let held = self.ledger.get(source);
        let found: Vec<_> = entry.map(|entry| (source, entry.ttl)).into_iter().collect();
        for difference in drift(held.into_iter(), &found, clock::now()) {
            let (kind, mended) = match difference {
                Drift::Missing(decision) => ("missing", self.put(source, &decision)),
                Drift::Stray(source) => ("stray", self.cut(source)),
            };
            let Err(error) = mended else {
                outcome.confirmed += 1;
                self.metrics.repairs.with_label_values(&[kind]).inc();
                tracing::warn!(%source, kind, "the kernel differed from the decisions and was mended");
                continue;
            };
            match &error {
                dataplane::Error::Full { map, .. } => {
                    outcome.waiting += 1;
                    outcome.full.insert(map);
                    outcome.reasons.insert(error.to_string());
                }
                dataplane::Error::Map { .. } => {
                    outcome.left(&error.to_string());
                    self.metrics.dataplane_failures.inc();
                }
            }
        }
    }

    /// Why something cannot be mended is told when it begins, and not at each look.
    fn tell_of_mending(&mut self, outcome: Outcome) {
        let Outcome { confirmed, unmended, waiting, reasons, .. } = outcome;
        for why in reasons.difference(&self.unmended_for) {
            tracing::error!(
                unmended,
                waiting_for_room = waiting,
                why,
                "the kernel differs from the decisions and could not be mended"
            );
        }
        self.unmended_for = reasons;
        (self.drift, self.unmended, self.waiting_for_room) = (confirmed, unmended, waiting);
        self.metrics.drift.set(i64::try_from(confirmed).unwrap_or(i64::MAX));
        self.metrics.waiting_for_room.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Appends that the store's queue refused are brought again; rows of decisions that are over are closed.
    fn mend_store(&mut self, kept: Kept) {
        let (now, wall) = (clock::now(), clock::wall());
        for source in kept.unrecorded {
            let Some(decision) = self.ledger.get(source) else { continue };
            // What was made later than now was made before the clock stepped back.
            let is_settled = wall.duration_since(decision.made_at).map_or(true, |age| age > self.settle);
            if is_settled {
                self.metrics.repairs.with_label_values(&["unrecorded"]).inc();
                self.store.append(Record::Decision(records::decision_row(&decision, now, wall)));
            }
        }
        if !self.waiting.is_empty() || !self.imports.is_empty() {
            // What is closed in the ledger is not yet closed for good.
            return;
        }
        for id in kept.unclosed {
            if self.ledger.source_of(id).is_none() {
                self.metrics.repairs.with_label_values(&["unclosed"]).inc();
                self.store.append(Record::Ended { id, cause: Ended::Expired, at_ms: records::millis(wall) });
            }
        }
    }
}
