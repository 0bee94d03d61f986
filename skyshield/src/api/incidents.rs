//! `/api/v1/incidents`: what was refused, and on what evidence.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::problem::{Name, Problem};
use super::terms::TermBody;
use super::time::rfc3339;
use crate::control::moment;
use crate::store::{IncidentRow, Reader};

/// Incidents of one page when nothing else is asked for.
const DEFAULT_LIMIT: u32 = 100;
/// Incidents of one page at the most.
const MAX_LIMIT: u32 = 1000;

#[derive(Debug, Serialize)]
pub(super) struct IncidentBody {
    id: String,
    at: String,
    address: String,
    by_proxy: bool,
    door: String,
    score: f64,
    act: String,
    route: String,
    method: String,
    host: String,
    target: String,
    /// What the score is made of: `adds` of all terms is the score.
    terms: Vec<TermBody>,
    findings: serde_json::Value,
}

impl IncidentBody {
    fn new(row: IncidentRow) -> Self {
        Self {
            at: rfc3339(moment(row.at_ms)),
            // What was written as a list is a list, unless the disk says otherwise.
            findings: serde_json::from_str(&row.findings)
                .unwrap_or_else(|_| serde_json::Value::Array(Vec::new())),
            terms: row.assessment().bill.terms.into_iter().map(TermBody::new).collect(),
            id: row.id,
            address: row.address,
            by_proxy: row.by_proxy,
            door: row.door,
            score: row.score,
            act: row.act,
            route: row.route,
            method: row.method,
            host: row.host,
            target: row.target,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Page {
    items: Vec<IncidentBody>,
    next_cursor: Option<String>,
}

pub(super) async fn list(
    State(reader): State<Reader>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let rows = super::read(move || reader.incidents(query.cursor.as_deref(), limit + 1)).await?;
    let more = rows.len() > limit as usize;
    let items: Vec<_> = rows.into_iter().take(limit as usize).map(IncidentBody::new).collect();
    let next_cursor = items.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(Page { items, next_cursor }))
}

pub(super) async fn show(
    State(reader): State<Reader>,
    Name(id): Name,
) -> Result<Json<IncidentBody>, Problem> {
    let wanted = id.clone();
    let row = super::read(move || reader.incident(&wanted)).await?;
    row.map(IncidentBody::new).map(Json).ok_or_else(|| Problem::no_such("incident", &id))
}
