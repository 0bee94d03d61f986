//! The verdict on a request: one function behind every door.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::control::{Control, Settled};
use crate::engine::decision::DecisionId;
use crate::engine::incident::{Client, Door, Incident, IncidentId};
use crate::engine::risk::{self, Score};
use crate::engine::view::View;
use crate::inspect::{Inspection, Inspector, Request};
use crate::limits::{Counted, Limiter, Quota};

/// What happens to a request.
#[derive(Debug)]
pub enum Verdict {
    /// It may be forwarded, by whoever shows the permit.
    Pass(Permit),
    /// It comes too early.
    Limit(Limited),
    /// It is refused.
    Refuse(Refusal),
}

/// The right to forward one request: only [`Judge::judge`] makes one, and forwarding takes it.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    score: Score,
    quota: Option<Quota>,
}

impl Permit {
    /// The request's score, for the upstream.
    pub fn score(&self) -> Score {
        self.score
    }

    /// What is left of the sender's quota, for him to know; where nobody limits him, nothing.
    pub fn take_quota(&mut self) -> Option<Quota> {
        self.quota.take()
    }
}

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
    settled: Settled,
}

impl Refusal {
    /// Resolves when the ban that this refusal led to, if any, is in the kernel; after
    /// `PATIENCE` at the latest. Whoever is answered after it finds the door shut.
    pub async fn settled(&mut self) {
        self.settled.wait(PATIENCE).await;
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// Its score is above `risk.refuse`.
    Risk,
    /// Its source is banned, and its packets came by a trusted proxy or overtook the kernel's entry.
    Banned(DecisionId),
}

impl RefusalReason {
    /// The reason's name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Risk => "risk",
            Self::Banned(_) => "banned",
        }
    }
}

/// Judges requests. Cloned into every door.
#[derive(Clone)]
pub struct Judge {
    inspector: Arc<Inspector>,
    risk: Arc<risk::Config>,
    view: Arc<View>,
    control: Control,
    limiter: Option<Arc<Limiter>>,
}

/// A refusal waits for its ban this long at the most; the ban comes all the same.
const PATIENCE: Duration = Duration::from_millis(20);
/// Text of a request that is kept in an incident, in bytes at the most.
const MAX_TEXT: usize = 512;

impl Judge {
    /// A judge that inspects with `inspector`, acts by `risk` and reports to `control`.
    pub fn new(inspector: Inspector, risk: risk::Config, view: Arc<View>, control: Control) -> Self {
        Self { inspector: Arc::new(inspector), risk: Arc::new(risk), view, control, limiter: None }
    }

    /// The same, and requests are counted against the quotas of `limiter`.
    #[must_use]
    pub fn limited_by(self, limiter: Limiter) -> Self {
        Self { limiter: Some(Arc::new(limiter)), ..self }
    }

    /// Whether the whole of what `address` sends is refused at `now`, before a body is read.
    pub fn ban_of(&self, address: IpAddr, now: Instant) -> Option<Refusal> {
        let ban = self.view.ban_of(address, now)?;
        let (score, reason) = (Score::new(1.0), RefusalReason::Banned(ban));
        Some(Refusal { incident: mint(), score, reason, settled: Settled::default() })
    }

    /// The verdict on `request` by `client`, all of whose bytes had arrived at `complete_at`.
    ///
    /// A refusal is reported as an incident before this returns; it never waits.
    pub fn judge(&self, client: Client, door: Door, request: &Request<'_>, complete_at: Instant) -> Verdict {
        if let Some(refusal) = self.ban_of(client.address, complete_at) {
            return Verdict::Refuse(refusal);
        }
        let counted =
            self.limiter.as_ref().map(|limiter| limiter.count(client.address, request, complete_at));
        let quota = match counted {
            None | Some(Counted::Free) => None,
            Some(Counted::Within(quota)) => Some(quota),
            Some(Counted::Over { quota, retry_after }) => {
                return Verdict::Limit(Limited { incident: mint(), quota, retry_after });
            }
        };
        let Inspection { findings, limits_reached: _ } = self.inspector.inspect(request);
        if findings.is_empty() {
            return Verdict::Pass(Permit { score: Score::default(), quota });
        }
        let score = risk::score(&findings, self.view.standing(client.address, complete_at));
        if !self.risk.refuses(score) {
            return Verdict::Pass(Permit { score, quota });
        }
        let id = mint();
        let host = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(b"host"));
        let settled = self.control.report(Incident {
            id,
            at: clock::wall(),
            client,
            door,
            score,
            findings,
            method: text(request.method),
            host: host.map(|header| text(header.value)).unwrap_or_default(),
            target: text(request.target),
            complete_at,
        });
        Verdict::Refuse(Refusal { incident: id, score, reason: RefusalReason::Risk, settled })
    }
}

fn mint() -> IncidentId {
    let mut random = [0; 16];
    // Without randomness an id is still unique to its millisecond.
    let _unlikely = getrandom::fill(&mut random);
    IncidentId::new(clock::wall(), u128::from_ne_bytes(random))
}

/// Bytes of a request as text for people: shortened, nothing in it that a terminal acts on.
fn text(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(MAX_TEXT)].escape_ascii().to_string()
}
