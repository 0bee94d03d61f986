//! An incident: a request that was refused or flagged, with its evidence.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use ulid::Ulid;

pub use super::client::Client;
use super::indicators::Traits;
use super::risk::{self, Bill, Score, Term, Thresholds};
use crate::inspect::Finding;

/// An incident's id: 26 characters, sorted by time, safe to read out over the telephone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IncidentId(Ulid);

impl IncidentId {
    /// A share of 1 that nobody can foresee, and that is the same for the same incident.
    pub fn chance(self) -> f64 {
        let drawn = u32::try_from(self.0.random() & u128::from(u32::MAX)).unwrap_or_default();
        f64::from(drawn) / f64::from(u32::MAX)
    }

    /// The id of what happened at `at`, told from others of that millisecond by `random`.
    pub fn new(at: SystemTime, random: u128) -> Self {
        let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(Ulid::from_parts(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX), random))
    }

    /// When it happened, in milliseconds since 1970.
    pub fn at_ms(self) -> u64 {
        self.0.timestamp_ms()
    }
}

impl IncidentId {
    /// The id as one number.
    pub(super) fn to_bits(self) -> u128 {
        self.0.0
    }

    /// The id that was made such a number.
    pub(super) fn from_bits(bits: u128) -> Self {
        Self(Ulid(bits))
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for IncidentId {
    type Err = ulid::DecodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ulid::from_string(text).map(Self)
    }
}

impl Serialize for IncidentId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The door a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// The reverse-proxy gateway.
    Gateway,
    /// A proxy that asked before it served.
    ForwardAuth,
    /// The wire, on the way to the host's own web server.
    Tap,
}

impl Door {
    /// The door's name in the API, the metrics and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::ForwardAuth => "forward_auth",
            Self::Tap => "tap",
        }
    }

    /// Whether what comes through it can be refused.
    pub const fn can_refuse(self) -> bool {
        !matches!(self, Self::Tap)
    }
}

/// What became of a request, and of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// It passed: its route only observes.
    Observe,
    /// It passed because its door cannot refuse, as another would have.
    Flag,
    /// It was refused.
    Refuse,
    /// It was refused, where its door can, and its source is to be banned.
    Ban,
}

impl Act {
    /// The act's name in the API, the metrics and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Flag => "flag",
            Self::Refuse => "refuse",
            Self::Ban => "ban",
        }
    }
}

/// Why a request was flagged: what its score is made of, and what it was measured against.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assessment {
    /// The terms of the score.
    #[serde(flatten)]
    pub bill: Bill,
    /// Where scores turned into acts for it.
    pub thresholds: Thresholds,
    /// The rules that matched and refuse whatever the score.
    pub demanded_by: Vec<Cow<'static, str>>,
    /// The limit of `inspect` that it outgrew, where it was refused for that.
    pub unread: Option<Cow<'static, str>>,
}

/// A refused or flagged request.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// When it happened, on the wall.
    pub at: SystemTime,
    /// Whom it is attributed to.
    pub client: Client,
    /// The door it came through.
    pub door: Door,
    /// What became of it.
    pub act: Act,
    /// The route that took it.
    pub route: Arc<str>,
    /// Why.
    pub assessment: Assessment,
    /// What was found in it.
    pub findings: Vec<Finding>,
    /// The method, shortened, as text.
    pub method: String,
    /// The host asked for, shortened, as text.
    pub host: String,
    /// The target, shortened, as text.
    pub target: String,
    /// What the client is like, beside its address.
    pub traits: Traits,
    /// When the last byte that the verdict needed had arrived.
    pub complete_at: Instant,
}

impl Incident {
    /// Its score.
    pub fn score(&self) -> Score {
        self.assessment.bill.score()
    }
}

impl Assessment {
    /// Leaves nothing of what the request said: only who claimed something, and how surely. Where its source
    /// is stays, because it is what is weighed.
    pub fn forget_words(&mut self) {
        for term in &mut self.bill.terms {
            term.place = None;
            if term.kind != risk::Kind::Origin {
                term.matched.clear();
            }
        }
    }

    /// Whether it speaks for a refusal.
    pub fn is_refused(&self) -> bool {
        self.is_refused_without(|_term| false)
    }

    /// Whether it does without the terms that `leave_out` names.
    pub fn is_refused_without(&self, leave_out: impl FnMut(&Term) -> bool) -> bool {
        let rest = self.bill.without(leave_out);
        rest.is_refused(self.thresholds)
            || rest.terms.iter().any(|term| self.demanded_by.contains(&term.rule))
    }
}
