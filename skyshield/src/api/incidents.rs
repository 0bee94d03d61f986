//! `/api/v1/incidents`: what was refused, and on what evidence.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::page::{Page, limit_of};
use super::problem::{Name, Problem};
use super::terms::TermBody;
use super::time::rfc3339;
use crate::control::moment;
use crate::store::{IncidentRow, Reader};

#[derive(Debug, Serialize, ToSchema)]
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
    /// What was found in it: rule, place, bytes that matched, confidence.
    #[schema(value_type = Vec<serde_json::Value>)]
    findings: serde_json::Value,
}

impl IncidentBody {
    pub(super) fn new(row: IncidentRow) -> Self {
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

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many items at the most: 1 to 1000, 100 where nothing is said.
    limit: Option<u32>,
    /// What the page before gave as `next_cursor`.
    cursor: Option<String>,
}

/// What was refused or flagged, newest first.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "events", params(ListQuery), responses((status = 200, body = Page<IncidentBody>)))]
pub(super) async fn list(
    State(reader): State<Reader>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<IncidentBody>>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let limit = limit_of(query.limit);
    let rows = super::read(move || reader.incidents(query.cursor.as_deref(), limit + 1)).await?;
    let items = rows.into_iter().map(IncidentBody::new).collect();
    Ok(Page::cut(items, limit, |last: &IncidentBody| last.id.clone()))
}

/// One incident, whole.
#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "events", params(("id" = String, Path, description = "Its id, as on the refusal page")), responses((status = 200, body = IncidentBody)))]
pub(super) async fn show(
    State(reader): State<Reader>,
    Name(id): Name,
) -> Result<Json<IncidentBody>, Problem> {
    let wanted = id.clone();
    let row = super::read(move || reader.incident(&wanted)).await?;
    row.map(IncidentBody::new).map(Json).ok_or_else(|| Problem::no_such("incident", &id))
}
