//! Crossing the border between the ledger's clock and the store's: what crosses is a time to live.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::engine::decision::{Decision, Layer, Origin};
use crate::engine::incident::Incident;
use crate::store::{DecisionRow, IncidentRow};

/// A moment on the wall in milliseconds since 1970.
pub(crate) fn millis(at: SystemTime) -> i64 {
    i64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970 as a moment on the wall.
pub(crate) fn moment(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// `decision` as it is kept, where it is `now` and `wall`.
pub(super) fn decision_row(decision: &Decision, now: Instant, wall: SystemTime) -> DecisionRow {
    DecisionRow {
        id: decision.id,
        source: decision.source.to_string(),
        origin: decision.origin.name().to_owned(),
        layer: decision.layer.name().to_owned(),
        reason: decision.reason.clone().into_owned(),
        comment: decision.comment.as_deref().unwrap_or_default().to_owned(),
        incident: decision.incident.map(|incident| incident.to_string()),
        made_at_ms: millis(decision.made_at),
        expires_at_ms: decision.remaining(now).map(|left| wall.checked_add(left).map_or(i64::MAX, millis)),
        enforced_after_us: decision.enforced_after.and_then(|lag| i64::try_from(lag.as_micros()).ok()),
    }
}

/// A kept decision as it is in force; `None` where the row makes no sense to this release.
pub(super) fn decision(row: &DecisionRow, now: Instant, wall: SystemTime) -> Option<Decision> {
    let until = match row.expires_at_ms {
        Some(expires) => Some(now.checked_add(moment(expires).duration_since(wall).unwrap_or_default())?),
        None => None,
    };
    Some(Decision {
        id: row.id,
        source: row.source.parse().ok()?,
        origin: Origin::from_name(&row.origin)?,
        layer: Layer::from_name(&row.layer)?,
        reason: row.reason.clone().into(),
        comment: (!row.comment.is_empty()).then(|| row.comment.as_str().into()),
        until,
        incident: row.incident.as_deref().and_then(|id| id.parse().ok()),
        made_at: moment(row.made_at_ms),
        enforced_after: row
            .enforced_after_us
            .and_then(|lag| u64::try_from(lag).ok())
            .map(Duration::from_micros),
    })
}

/// `incident` as it is kept.
pub(super) fn incident_row(incident: &Incident) -> IncidentRow {
    IncidentRow {
        id: incident.id.to_string(),
        at_ms: millis(incident.at),
        address: incident.client.address.to_string(),
        by_proxy: incident.client.by_proxy,
        door: incident.door.name().to_owned(),
        score: incident.score().value(),
        method: incident.method.clone(),
        host: incident.host.clone(),
        target: incident.target.clone(),
        // Findings are plain strings and numbers; there is nothing in them that JSON cannot say.
        findings: serde_json::to_string(&incident.findings).unwrap_or_default(),
        // Nor in what the score is made of.
        assessment: serde_json::to_string(&incident.assessment).unwrap_or_default(),
        act: incident.act.name().to_owned(),
        route: incident.route.to_string(),
    }
}
