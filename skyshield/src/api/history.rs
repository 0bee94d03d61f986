//! `/api/v1/history`: what is kept of flagged requests and of those that came near, to weigh it again.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::explain::{ThresholdsBody, past};
use super::problem::Problem;
use super::terms::PlaceShape;
use super::time::{Ttl, ttl};
use crate::clock;
use crate::control::{Control, millis};
use crate::exceptions::{Circumstances, Set};
use crate::rehearsal::{Fate, Kept};
use crate::store::{IncidentRow, Reader};

/// Requests of each kind at the most, the newest.
const MOST: u32 = 20_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// How far back: 24h, 7d; 24h where nothing is said. What only came near is kept for two days.
    within: Option<String>,
}

/// What is kept of a request: the shape of [`Kept`], for the document.
#[derive(ToSchema)]
#[schema(as = KeptRequest)]
#[expect(dead_code, reason = "it describes the rehearsal's own type, which is what is sent")]
struct KeptShape {
    /// The incident; none where it only came near.
    incident: Option<String>,
    /// The route that took it.
    route: String,
    /// What became of it: `pass`, `refuse` or `ban`.
    fate: String,
    assessment: AssessmentShape,
    /// The terms of it, by their numbers, that exceptions in force now would take away.
    excepted: Vec<usize>,
}

/// What a score was made of, and measured against.
#[derive(ToSchema)]
#[schema(as = Assessment)]
#[expect(dead_code, reason = "it describes the engine's own type, which is what is sent")]
struct AssessmentShape {
    terms: Vec<TermShape>,
    thresholds: ThresholdsBody,
    /// The rules that matched and refuse whatever the score.
    demanded_by: Vec<String>,
    /// The limit of `inspect` that it outgrew, where it was refused for that.
    unread: Option<String>,
}

/// A term of a score as it is kept.
#[derive(ToSchema)]
#[schema(as = KeptTerm)]
#[expect(dead_code, reason = "it describes the engine's own type, which is what is sent")]
struct TermShape {
    kind: String,
    rule: String,
    /// Claims of one kind and family are one claim seen twice.
    family: String,
    place: Option<PlaceShape>,
    matched: String,
    confidence: f64,
    weight: f64,
    /// What it adds to the score, in thousandths.
    adds_milli: u16,
}

/// What is kept of flagged requests and of those that came near: the terms of their scores, and nothing of
/// what they said.
#[utoipa::path(get, path = "/api/v1/history", tag = "events", params(HistoryQuery), responses((status = 200, body = Vec<KeptShape>)))]
pub(super) async fn show(
    State(reader): State<Reader>,
    State(control): State<Control>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Json<Vec<Kept>>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let span = match ttl(query.within.as_deref().unwrap_or("24h")) {
        Ok(Ttl::For(span)) => span,
        Ok(Ttl::Forever) => Duration::MAX,
        Err(what) => return Err(Problem::bad_request(format!("within: {what}"))),
    };
    let since = clock::wall().checked_sub(span).map_or(0, millis);
    let (exceptions, now) = (control.exceptions().load_full(), clock::now());
    // Each is held against every exception: not on the thread that answers.
    let kept = super::read(move || {
        let incidents = reader.incidents_since(since, MOST)?;
        let incidents = incidents.into_iter().map(|row| incident(row, &exceptions, now));
        let near = reader.near_misses(since, MOST)?.into_iter().map(|row| Kept {
            incident: None,
            route: row.route,
            fate: Fate::Pass,
            assessment: serde_json::from_str(&row.assessment).unwrap_or_default(),
            excepted: Vec::new(),
        });
        Ok(incidents.chain(near).collect())
    });
    kept.await.map(Json)
}

/// What is kept of an incident, and which of its terms `exceptions` would take away.
fn incident(row: IncidentRow, exceptions: &Set, now: Instant) -> Kept {
    let mut assessment = row.assessment();
    let excepted = past(&row).map(|past| {
        let (route, host, target) = (&past.route, &past.host, &past.target);
        let request = Circumstances { route, host, target, source: past.source };
        exceptions.covered(&assessment.bill.terms, &request, now)
    });
    assessment.forget_words();
    let fate = match row.act.as_str() {
        "ban" => Fate::Ban,
        "refuse" => Fate::Refuse,
        _ => Fate::Pass,
    };
    let excepted = excepted.unwrap_or_default();
    Kept { incident: Some(row.id), route: row.route, fate, assessment, excepted }
}
