//! Rulings: what is decided beside the bans of addresses and prefixes. Networks, countries and users are
//! banned, limited or let through, and sources limited. They hold at the doors, and there are few of them.

mod book;
mod docket;
mod subject;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::decision::{DecisionId, Origin};

pub use book::{About, Book, Word};
pub use docket::{Docket, MAX_RULINGS, NotRuled};
pub use subject::{MAX_USER, NotASubject, Subject};

/// What is done to whom a decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Nothing of theirs comes in.
    Ban,
    /// So many requests a minute, and no more.
    Limit,
    /// No ban and no limit of any kind reaches them.
    Allow,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Ban, Self::Limit, Self::Allow];

    /// The kind's name in the API and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Limit => "limit",
            Self::Allow => "allow",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A ruling in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Its number, among those of all decisions.
    pub id: DecisionId,
    /// What is done.
    pub kind: Kind,
    /// To whom.
    pub subject: Subject,
    /// On whose authority.
    pub origin: Origin,
    /// Why, for people.
    pub reason: String,
    /// What is noted beside it.
    pub comment: Option<Arc<str>>,
    /// Of a limit, the requests a minute that each of its sources may send; of a user, all of his together.
    pub requests_per_min: u32,
    /// When it was made, on the wall.
    pub made_at: SystemTime,
    /// When it ends by itself; `None` is until it is lifted.
    pub until: Option<Instant>,
}

impl Ruling {
    /// What is left of it at `now`; `None` is until it is lifted.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }
}

/// What is asked for when a ruling is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRuling {
    /// What is to be done.
    pub kind: Kind,
    /// To whom.
    pub subject: Subject,
    /// On whose authority.
    pub origin: Origin,
    /// Why, for people.
    pub reason: String,
    /// What is to be noted beside it.
    pub comment: Option<Arc<str>>,
    /// Of a limit, the requests a minute; not 0.
    pub requests_per_min: u32,
    /// For how long; `None` is until it is lifted.
    pub ttl: Option<Duration>,
    /// When it was asked for, on the wall.
    pub asked_at: SystemTime,
}

#[cfg(test)]
mod tests;
