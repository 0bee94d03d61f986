//! What a request gets that is not forwarded.

use std::time::Duration;

use crate::control::Settled;
use crate::engine::decision::DecisionId;
use crate::engine::incident::IncidentId;
use crate::engine::risk::Score;
use crate::limits::Quota;

/// A refusal waits for its ban this long at the most; the ban comes all the same.
const PATIENCE: Duration = Duration::from_millis(20);

/// A request beyond its sender's quota. Never evidence for a ban.
#[derive(Debug)]
pub struct Limited {
    /// What a person may ask the operator about.
    pub incident: IncidentId,
    /// The quota.
    pub quota: Quota,
    /// After this long, a request like it is within.
    pub retry_after: Duration,
}

/// Why a request is refused, and what its sender may quote.
#[derive(Debug)]
pub struct Refusal {
    /// The incident a person may ask the operator about.
    pub incident: IncidentId,
    /// The request's score.
    pub score: Score,
    /// Why.
    pub reason: RefusalReason,
    pub(super) settled: Settled,
}

impl Refusal {
    /// Resolves when the ban that this refusal led to, if any, is in the kernel; after
    /// 20 ms at the latest. Whoever is answered after it finds the door shut.
    pub async fn settled(&mut self) {
        self.settled.wait(PATIENCE).await;
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// Its score is above `risk.refuse`.
    Risk,
    /// A rule matched whose action is to refuse.
    Rule,
    /// Its source is banned, and its packets came by a trusted proxy or overtook the kernel's entry.
    Banned(DecisionId),
    /// A list or a policy on places does not want its source.
    Unwanted,
    /// Its source has to log in, and it is of no user.
    NoUser,
    /// It outgrew this limit of `inspect`, and what lay beyond was not read.
    Unread(&'static str),
}

impl Refusal {
    /// Whether nothing was looked at, because the client is banned or unwanted already.
    pub fn is_known(&self) -> bool {
        matches!(self.reason, RefusalReason::Banned(_) | RefusalReason::Unwanted)
    }
}

impl RefusalReason {
    /// The reason's name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Risk => "risk",
            Self::Rule => "rule",
            Self::Banned(_) => "banned",
            Self::Unwanted => "unwanted",
            Self::NoUser => "no_user",
            Self::Unread(_) => "unread",
        }
    }
}
