//! The rulings in force, one of a kind for each subject.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::book::Book;
use super::{Kind, NewRuling, Ruling, Subject};
use crate::engine::decision::DecisionId;

/// Rulings at the most.
pub const MAX_RULINGS: usize = 10_000;

/// Why a ruling is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRuled {
    /// Somebody of more authority has ruled already.
    #[error("#{0} is of higher authority and was left alone")]
    Outranked(DecisionId),
    /// There is no room for another.
    #[error("there are {MAX_RULINGS} rulings already; lift some")]
    Full,
    /// Sources are banned and let through in other ways.
    #[error("an address or a prefix is banned by a ban and let through by the allow list")]
    OfASource,
    /// A limit of nothing is a ban.
    #[error("a limit needs `requests_per_min` of 1 or more")]
    NoRate,
}

/// The rulings in force.
#[derive(Debug, Default)]
pub struct Docket(BTreeMap<DecisionId, Arc<Ruling>>);

impl Docket {
    /// The ruling that `new` asks for under the number `id`, not in force yet.
    pub fn draft(&self, new: NewRuling, id: DecisionId, now: Instant) -> Result<Ruling, NotRuled> {
        let NewRuling { kind, subject, origin, reason, comment, requests_per_min, ttl, asked_at } = new;
        if matches!(subject, Subject::Source(_)) && kind != Kind::Limit {
            return Err(NotRuled::OfASource);
        }
        if kind == Kind::Limit && requests_per_min == 0 {
            return Err(NotRuled::NoRate);
        }
        let held = self.find(kind, &subject);
        if let Some(held) = held.filter(|held| held.origin > origin) {
            return Err(NotRuled::Outranked(held.id));
        }
        if held.is_none() && self.0.len() >= MAX_RULINGS {
            return Err(NotRuled::Full);
        }
        let until = ttl.and_then(|ttl| now.checked_add(ttl));
        Ok(Ruling { id, kind, subject, origin, reason, comment, requests_per_min, made_at: asked_at, until })
    }

    /// Brings a ruling into force; the one whose place it takes.
    pub fn put(&mut self, ruling: Ruling) -> Option<Arc<Ruling>> {
        let replaced = self.find(ruling.kind, &ruling.subject).map(|held| held.id);
        let replaced = replaced.filter(|&id| id != ruling.id).and_then(|id| self.0.remove(&id));
        self.0.insert(ruling.id, Arc::new(ruling));
        replaced
    }

    /// Takes a ruling out of force.
    pub fn remove(&mut self, id: DecisionId) -> Option<Arc<Ruling>> {
        self.0.remove(&id)
    }

    /// The ruling with this number.
    pub fn get(&self, id: DecisionId) -> Option<&Arc<Ruling>> {
        self.0.get(&id)
    }

    /// The ruling of this kind about exactly `subject`.
    pub fn find(&self, kind: Kind, subject: &Subject) -> Option<&Arc<Ruling>> {
        self.0.values().find(|held| held.kind == kind && held.subject == *subject)
    }

    /// The rulings in force with a number above `after`, in the order of their numbers.
    pub fn after(&self, after: Option<DecisionId>) -> impl Iterator<Item = &Arc<Ruling>> {
        let from = after.map_or(0, |after| after.0.saturating_add(1));
        self.0.range(DecisionId(from)..).map(|(_, ruling)| ruling)
    }

    /// How many are in force.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is in force.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When [`Docket::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.0.values().filter_map(|ruling| ruling.until).min()
    }

    /// Takes out what is over at `now`, and says what that was.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Arc<Ruling>> {
        let over = self.0.values().filter(|ruling| ruling.until.is_some_and(|until| until <= now));
        let over: Vec<_> = over.map(|ruling| ruling.id).collect();
        over.into_iter().filter_map(|id| self.0.remove(&id)).collect()
    }

    /// What doors go by.
    pub fn book(&self) -> Book {
        Book::of(self.0.values().map(|ruling| &**ruling))
    }
}
