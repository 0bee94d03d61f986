//! `/api/v1/incidents`: what was refused, and on what evidence.

use std::net::IpAddr;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::export::{BATCH, Exports, Format};
use super::page::{Page, limit_of};
use super::problem::{Name, Problem};
use super::terms::{PlaceShape, TermBody};
use super::time::rfc3339;
use crate::control::moment;
use crate::inspect::Place;
use crate::store::{Filter, IncidentPage, IncidentRow, Reader};

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
    /// What was found in it.
    findings: Vec<FindingBody>,
}

/// A claim of a rule's.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Finding)]
struct FindingBody {
    rule: String,
    class: String,
    #[schema(value_type = PlaceShape)]
    place: Place,
    /// How sure it is, 0 to 1.
    confidence: f64,
    /// The bytes that matched, as text, shortened and with control characters escaped.
    matched: String,
}

impl IncidentBody {
    pub(super) fn new(row: IncidentRow) -> Self {
        Self {
            at: rfc3339(moment(row.at_ms)),
            // What was written as a list is a list, unless the disk says otherwise.
            findings: serde_json::from_str(&row.findings).unwrap_or_default(),
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
    /// Only of this address.
    address: Option<String>,
    /// Only those in which this rule found something: `sqli.union-select`.
    rule: Option<String>,
    /// Only to this host.
    host: Option<String>,
    /// Only what became this: `observe`, `refuse`, `ban`.
    act: Option<String>,
    /// Only through this door: `gateway`, …
    door: Option<String>,
    /// Only what this route took.
    route: Option<String>,
    /// Only what scored this or more, 0 to 1.
    min_score: Option<f64>,
    /// Only from this moment on, RFC 3339.
    since: Option<String>,
    /// Only before this moment, RFC 3339.
    until: Option<String>,
    /// Everything, streamed.
    #[param(inline)]
    format: Option<Format>,
}

impl ListQuery {
    fn filter(&self) -> Result<Filter, Problem> {
        let moment = |name: &str, text: &Option<String>| match text.as_deref().map(str::parse::<Timestamp>) {
            None => Ok(None),
            Some(Ok(moment)) => Ok(Some(moment.as_millisecond().max(0))),
            Some(Err(_)) => {
                Err(Problem::bad_request(format!("{name}: a moment such as 2026-11-28T12:00:00Z")))
            }
        };
        let address = self.address.as_deref().map(|address| match address.parse::<IpAddr>() {
            Ok(address) => Ok(address.to_canonical().to_string()),
            // Or the name that an address stands under after a while.
            Err(_) if address.starts_with("anon-") => Ok(address.to_owned()),
            Err(_) => {
                Err(Problem::bad_request(format!("address: `{}` is no address", address.escape_debug())))
            }
        });
        Ok(Filter {
            address: address.transpose()?,
            rule: self.rule.clone(),
            host: self.host.clone(),
            act: self.act.clone(),
            door: self.door.clone(),
            route: self.route.clone(),
            min_score: self.min_score,
            since_ms: moment("since", &self.since)?,
            until_ms: moment("until", &self.until)?,
        })
    }
}

/// What was refused or flagged, newest first. Where what is looked for is rare, a page may be short, or empty,
/// before the end: `next_cursor` says where to go on.
#[utoipa::path(
    get,
    path = "/api/v1/incidents",
    tag = "events",
    params(ListQuery),
    responses((status = 200, content((Page<IncidentBody> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))))
)]
pub(super) async fn list(
    State(reader): State<Reader>,
    State(exports): State<Exports>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let filter = query.filter()?;
    if let Some(format) = query.format {
        return exports.stream(("incidents", format), move |cursor| {
            let IncidentPage { rows, next } = reader.incidents(&filter, cursor.as_deref(), BATCH)?;
            Ok((rows.into_iter().map(IncidentBody::new).collect(), next))
        });
    }
    let limit = limit_of(query.limit);
    let page = super::read(move || reader.incidents(&filter, query.cursor.as_deref(), limit)).await?;
    let items = page.rows.into_iter().map(IncidentBody::new).collect();
    Ok(Json(Page { items, next_cursor: page.next }).into_response())
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
