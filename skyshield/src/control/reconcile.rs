//! The reconciler: store, ledger and kernel are compared on a period, and what differs is mended.

use std::collections::HashSet;

use super::{Task, records};
use crate::clock;
use crate::dataplane::{self, Entry};
use crate::engine::decision::{DecisionId, Ended};
use crate::engine::reconcile::{Drift, drift};
use crate::engine::source::Source;
use crate::store::{Reader, Record};

/// What was found when looking; taken off the control task, because a look at a full map takes long.
#[derive(Debug)]
pub(super) struct Look {
    entries: Result<Vec<(Source, Entry)>, dataplane::Error>,
    kept: rusqlite::Result<Vec<DecisionId>>,
}

/// Looks. Blocks.
pub(super) fn look(entries: &dyn dataplane::Reader, store: &Reader) -> Look {
    Look {
        entries: entries.entries(),
        kept: store
            .decisions_in_force(records::millis(clock::wall()))
            .map(|rows| rows.into_iter().map(|row| row.id).collect()),
    }
}

impl Task {
    /// Has a look taken, unless one is being taken.
    pub(super) fn look(&mut self) {
        if !self.looks.is_empty() {
            return;
        }
        match self.enforcer.reader() {
            Ok(entries) => {
                let store = self.reader.clone();
                self.looks.spawn_blocking(move || look(entries.as_ref(), &store));
            }
            Err(error) => tracing::error!(%error, "the kernel's maps cannot be read"),
        }
    }

    /// Mends what a look found to differ. The ledger has moved on since, so each difference is
    /// looked at once more before it is believed.
    pub(super) fn mend(&mut self, look: Look) {
        match look.entries {
            Ok(entries) => self.mend_kernel(&entries),
            Err(error) => {
                self.metrics.dataplane_failures.inc();
                tracing::error!(%error, "the kernel's maps cannot be read");
            }
        }
        match look.kept {
            Ok(kept) => self.mend_store(&kept),
            Err(error) => tracing::error!(%error, "the store cannot be read"),
        }
    }

    fn mend_kernel(&mut self, entries: &[(Source, Entry)]) {
        let left: Vec<_> = entries.iter().map(|(source, entry)| (*source, entry.ttl)).collect();
        let suspects = drift(self.ledger.decisions(), &left, clock::now());
        let mut confirmed = 0;
        for suspect in suspects {
            let source = match &suspect {
                Drift::Missing(decision) => decision.source,
                Drift::Stray(source) => *source,
            };
            // The kernel follows when the order is on disk, or not at all.
            if self.waiting.contains_key(&source) {
                continue;
            }
            let Ok(entry) = self.enforcer.get(source) else { continue };
            let held = self.ledger.get(source).cloned();
            let found: Vec<_> = entry.map(|entry| (source, entry.ttl)).into_iter().collect();
            for difference in drift(held.iter(), &found, clock::now()) {
                confirmed += 1;
                let (kind, mended) = match difference {
                    Drift::Missing(decision) => ("missing", self.install(source, &decision)),
                    Drift::Stray(source) => ("stray", self.remove(source)),
                };
                if mended.is_ok() {
                    self.metrics.repairs.with_label_values(&[kind]).inc();
                }
                tracing::warn!(%source, kind, "the kernel differed from the decisions and was mended");
            }
        }
        self.drift = confirmed;
        self.metrics.drift.set(i64::try_from(confirmed).unwrap_or(i64::MAX));
    }

    /// Appends that the store's queue refused are brought again; rows of decisions that are over are closed.
    fn mend_store(&mut self, kept: &[DecisionId]) {
        let kept: HashSet<_> = kept.iter().copied().collect();
        let (now, wall) = (clock::now(), clock::wall());
        let missing: Vec<_> = self
            .ledger
            .decisions()
            .filter(|decision| !kept.contains(&decision.id) && decision.made_at + self.settle < wall)
            .map(|decision| records::decision_row(decision, now, wall))
            .collect();
        for row in missing {
            self.metrics.repairs.with_label_values(&["unrecorded"]).inc();
            self.store.append(Record::Decision(row));
        }
        if !self.waiting.is_empty() {
            // What is closed in the ledger is not yet closed for good.
            return;
        }
        for id in kept {
            if self.ledger.source_of(id).is_none() {
                self.metrics.repairs.with_label_values(&["unclosed"]).inc();
                self.store.append(Record::Ended { id, cause: Ended::Expired, at_ms: records::millis(wall) });
            }
        }
    }
}
