//! Every decision and incident, told in the security log.

use crate::engine::decision::{Decision, DecisionId, Ended};
use crate::engine::incident::{Act, Incident};
use crate::telemetry::SECURITY;

/// What became of a flagged request, and on what evidence.
pub(super) fn incident(incident: &Incident) {
    let rule = incident.findings.first().map_or("", |finding| &*finding.rule);
    let act = incident.act.name();
    let message = match incident.act {
        Act::Observe | Act::Flag => "an attack was observed",
        Act::Ban if !incident.door.can_refuse() => "an attack was observed",
        Act::Refuse | Act::Ban => "an attack was refused",
    };
    tracing::warn!(
        target: SECURITY,
        event = "incident",
        incident = %incident.id,
        address = %incident.client.address,
        by_proxy = incident.client.by_proxy,
        act,
        score = incident.score().value(),
        rule,
        findings = incident.findings.len(),
        door = incident.door.name(),
        route = &*incident.route,
        method = incident.method,
        host = incident.host,
        target = incident.target,
        "{message}"
    );
}

/// A decision that is kept.
pub(super) fn decision(decision: &Decision, ttl_secs: Option<u64>) {
    tracing::warn!(
        target: SECURITY,
        event = "ban",
        decision = decision.id.0,
        source = %decision.source,
        origin = decision.origin.name(),
        layer = decision.layer.name(),
        reason = &*decision.reason,
        ttl_secs,
        incident = decision.incident.map(|id| id.to_string()),
        "a source was banned"
    );
}

/// A decision that is over.
pub(super) fn ended(id: DecisionId, cause: Ended) {
    let reason = cause.name();
    tracing::info!(target: SECURITY, event = "ban_ended", decision = id.0, reason, "a ban ended");
}
