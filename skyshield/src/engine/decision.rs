//! A decision: what is in force against a source, on whose authority, and until when.

use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::source::Source;

/// A decision's number, unique for the life of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DecisionId(pub u64);

impl fmt::Display for DecisionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Who decided, in rising authority: a lower one never overrides a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Origin {
    /// The engine, from what it saw.
    Detector = 1,
    /// A block-list feed.
    Feed = 2,
    /// A person, by API or command line.
    Operator = 3,
}

impl Origin {
    /// Every origin, in rising authority.
    pub const ALL: [Self; 3] = [Self::Detector, Self::Feed, Self::Operator];

    /// The origin's name in the API, the metrics and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::Feed => "feed",
            Self::Operator => "operator",
        }
    }

    /// The origin whose discriminant is `code`, as a kernel map entry holds it.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Detector),
            2 => Some(Self::Feed),
            3 => Some(Self::Operator),
            _ => None,
        }
    }
}

/// A ban in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its number.
    pub id: DecisionId,
    /// Whom it bans.
    pub source: Source,
    /// On whose authority.
    pub origin: Origin,
    /// Why, for people: a rule id, or the operator's words.
    pub reason: Cow<'static, str>,
    /// When it ends by itself; `None` is until it is lifted.
    pub until: Option<Instant>,
}
