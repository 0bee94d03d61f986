//! A decision as it is told.

use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::time::{far, rfc3339};
use crate::clock;
use crate::control::Met;
use crate::engine::decision::{Decision, DecisionId, Layer, Origin};
use crate::engine::ruling::{Kind, Ruling, Subject};
use crate::engine::source::Source;

/// What is in force against a source, and for how long.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct DecisionBody {
    #[schema(value_type = u64)]
    pub(super) id: DecisionId,
    #[schema(value_type = String)]
    kind: Kind,
    /// Whom it is about: `203.0.113.7`, `asn:64500`, `country:NL`, `user:alice`.
    subject: String,
    /// The same, where it is an address or a prefix.
    #[schema(value_type = Option<String>)]
    source: Option<Source>,
    /// On whose authority: `operator`, `detector`, …
    #[schema(value_type = String)]
    origin: Origin,
    /// Where it is enforced: `packet` or `request`.
    #[schema(value_type = String)]
    layer: Layer,
    reason: String,
    comment: Option<String>,
    /// Of a limit.
    requests_per_min: Option<u32>,
    incident: Option<String>,
    made_at: String,
    expires_at: Option<String>,
    ttl_seconds: Option<u64>,
    enforced_after_ms: Option<f64>,
    /// Packets that it was the reason to drop in the kernel, about; none where that was not asked.
    dropped_packets: Option<u64>,
    /// When the last of them came.
    last_dropped_at: Option<String>,
}

impl DecisionBody {
    pub(in crate::api) fn new(decision: Decision, now: Instant) -> Self {
        let remaining = decision.remaining(now);
        Self {
            id: decision.id,
            kind: Kind::Ban,
            subject: decision.source.to_string(),
            source: Some(decision.source),
            origin: decision.origin,
            layer: decision.layer,
            comment: decision.comment.map(|comment| comment.to_string()),
            requests_per_min: None,
            incident: decision.incident.map(|incident| incident.to_string()),
            made_at: rfc3339(decision.made_at),
            expires_at: remaining.map(|left| clock::wall().checked_add(left).map_or_else(far, rfc3339)),
            ttl_seconds: remaining.map(|left| left.as_secs()),
            enforced_after_ms: decision.enforced_after.map(|lag| lag.as_secs_f64() * 1000.0),
            reason: decision.reason.into_owned(),
            dropped_packets: None,
            last_dropped_at: None,
        }
    }

    pub(in crate::api) fn of_ruling(ruling: &Ruling, now: Instant) -> Self {
        let remaining = ruling.remaining(now);
        Self {
            id: ruling.id,
            kind: ruling.kind,
            subject: ruling.subject.to_string(),
            source: match ruling.subject {
                Subject::Source(source) => Some(source),
                Subject::Asn(_) | Subject::Country(_) | Subject::User(_) => None,
            },
            origin: ruling.origin,
            layer: Layer::Request,
            reason: ruling.reason.clone(),
            comment: ruling.comment.as_deref().map(str::to_owned),
            requests_per_min: (ruling.kind == Kind::Limit).then_some(ruling.requests_per_min),
            incident: None,
            made_at: rfc3339(ruling.made_at),
            expires_at: remaining.map(|left| clock::wall().checked_add(left).map_or_else(far, rfc3339)),
            ttl_seconds: remaining.map(|left| left.as_secs()),
            enforced_after_ms: None,
            dropped_packets: None,
            last_dropped_at: None,
        }
    }

    /// The same with what the ban has met.
    pub(super) fn with(self, met: Met) -> Self {
        let last = met.last.and_then(|ago| clock::wall().checked_sub(ago));
        Self { dropped_packets: Some(met.packets), last_dropped_at: last.map(rfc3339), ..self }
    }
}
