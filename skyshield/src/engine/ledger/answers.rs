//! What comes of asking the ledger.

use std::time::{Duration, Instant};

use crate::engine::decision::{Decision, DecisionId, Layer, Origin};
use crate::engine::never_ban::Protection;
use crate::engine::source::{Source, WIDEST_V4, WIDEST_V6};

/// Why a ban is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The never-ban set forbids it.
    #[error("{whom} is never banned: it is {why}")]
    Protected {
        /// Whom the ban was for.
        whom: Source,
        /// Why it is protected.
        why: Protection,
    },
    /// The prefix is a share of the whole internet.
    #[error(
        "{0} is wider than /{WIDEST_V4} (IPv4) or /{WIDEST_V6} (IPv6); ask again with force if you mean it"
    )]
    TooWide(Source),
    /// There is no room for another decision.
    #[error(
        "{capacity} decisions are in force and there is room for no more; lift some, or raise dataplane.max_bans"
    )]
    Full {
        /// How many there is room for.
        capacity: usize,
    },
    /// The kernel's table of prefixes has no room for another.
    #[error(
        "{capacity} prefixes of {family} are banned and the kernel has room for no more; lift some, or raise \
         dataplane.max_prefixes"
    )]
    NoRoom {
        /// Of which addresses.
        family: &'static str,
        /// How many there is room for.
        capacity: usize,
    },
}

/// What became of a ban that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Banned {
    /// It is in force.
    Made(Decision),
    /// One of the same authority was in force already; it now ends no earlier than asked.
    Extended(Decision),
    /// One of higher authority is in force and was left alone.
    Kept(Decision),
}

impl Banned {
    /// The decision that is in force now.
    pub fn decision(&self) -> &Decision {
        match self {
            Self::Made(decision) | Self::Extended(decision) | Self::Kept(decision) => decision,
        }
    }
}

/// A ban in force without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brief {
    /// Its number.
    pub id: DecisionId,
    /// On whose authority.
    pub origin: Origin,
    /// Where it is enforced.
    pub layer: Layer,
    /// When it ends by itself; `None` is until it is lifted.
    pub until: Option<Instant>,
}

impl Brief {
    /// What is left of it at `now`; `None` is until it is lifted.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }
}
