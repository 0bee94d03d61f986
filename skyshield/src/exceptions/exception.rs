//! An exception: what is not held against a request, until when, and on whose word.

use std::time::{Instant, SystemTime};

use super::Scope;

/// An exception in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    /// Its id, unique for the life of a store.
    pub id: String,
    /// Which findings of which requests it takes away.
    pub scope: Scope,
    /// Why, for those who read it later.
    pub comment: String,
    /// Who made it.
    pub by: String,
    /// When, on the wall.
    pub made_at: SystemTime,
    /// When it ends by itself; `None` is until it is removed.
    pub until: Option<Instant>,
}

impl Exception {
    /// Whether it is in force at `now`.
    pub fn holds(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}
