//! A decision: what is in force against a source, on whose authority, and until when.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::incident::IncidentId;
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

    /// The origin with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.name() == name)
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

/// Where a ban is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// In the kernel: every packet of the source is dropped.
    Packet,
    /// At the doors only: the source is known by a trusted proxy's word, and the packets are the proxy's.
    Request,
}

impl Layer {
    /// The layer with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Packet, Self::Request].into_iter().find(|layer| layer.name() == name)
    }

    /// The layer's name in the API and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Request => "request",
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
    /// Where it is enforced.
    pub layer: Layer,
    /// Why, for people: a rule id, or the operator's words.
    pub reason: Cow<'static, str>,
    /// What an operator has noted beside it.
    pub comment: Option<Arc<str>>,
    /// When it ends by itself; `None` is until it is lifted.
    pub until: Option<Instant>,
    /// The incident that gave rise to it.
    pub incident: Option<IncidentId>,
    /// When it was made, on the wall.
    pub made_at: SystemTime,
    /// From the last byte of the request behind it to the entry in the kernel's map.
    pub enforced_after: Option<Duration>,
}

impl Decision {
    /// What is left of it at `now`; `None` is until it is lifted.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }
}

/// What is asked for when a ban is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBan {
    /// Whom to ban.
    pub source: Source,
    /// On whose authority.
    pub origin: Origin,
    /// Where to enforce it.
    pub layer: Layer,
    /// Why, for people.
    pub reason: Cow<'static, str>,
    /// What is to be noted beside it.
    pub comment: Option<Arc<str>>,
    /// For how long; `None` is until it is lifted.
    pub ttl: Option<Duration>,
    /// The incident that gave rise to it.
    pub incident: Option<IncidentId>,
    /// When it was asked for, on the wall.
    pub asked_at: SystemTime,
    /// Ban even a prefix so wide that it takes a share of the whole internet.
    pub force: bool,
}

/// Why a decision is no longer in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Its time was over.
    Expired,
    /// An operator took it back.
    Lifted,
    /// Another decision on the same source took its place.
    Replaced,
    /// Its source came under the never-ban set.
    Protected,
    /// It never came into force, because there was no room for it.
    NoRoom,
}

impl Ended {
    /// The cause's name in the API and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Lifted => "lifted",
            Self::Replaced => "replaced",
            Self::Protected => "protected",
            Self::NoRoom => "no_room",
        }
    }
}
