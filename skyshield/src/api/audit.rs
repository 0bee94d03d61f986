//! `/api/v1/audit`: who changed what, when and why; and whether the log is whole.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::hex;
use super::export::{BATCH, Exports, Format};
use super::page::{Page, limit_of};
use super::problem::Problem;
use super::time::rfc3339;
use crate::control::moment;
use crate::store::{AuditLine, Audited, Reader};

/// A line of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LineBody {
    /// Its number: one more than the line's before it.
    seq: u64,
    at: String,
    /// Who: an operator's or a token's name, or `root`.
    actor: String,
    /// The part of the token between its underscores, where it was one.
    token: Option<String>,
    role: String,
    /// What was done: method and route, or a name.
    action: String,
    /// The rest; none where it was erased.
    content: Option<ContentBody>,
    /// What the next line hangs on.
    hash: String,
}

/// What a line says of a change.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = AuditContent)]
pub(super) struct ContentBody {
    /// To whom: the path that was asked for.
    target: Option<String>,
    /// From where.
    from: Option<String>,
    /// Why.
    reason: Option<String>,
    /// What was before, in its resource's own shape.
    before: serde_json::Value,
    /// What came after, in its resource's own shape.
    after: serde_json::Value,
    /// What a rule of response says beside: `rule`, `act`, `source`, `incident`, `dry_run`.
    #[serde(flatten)]
    more: BTreeMap<String, serde_json::Value>,
}

impl From<AuditLine> for LineBody {
    fn from(line: AuditLine) -> Self {
        Self {
            seq: line.seq,
            at: rfc3339(moment(line.at_ms)),
            // What was written as JSON is JSON, unless the disk says otherwise.
            content: line.content.and_then(|content| serde_json::from_str(&content).ok()),
            hash: hex(&line.hash),
            actor: line.actor,
            token: line.token,
            role: line.role,
            action: line.action,
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
    cursor: Option<u64>,
    /// Everything, streamed.
    #[param(inline)]
    format: Option<Format>,
}

/// What was changed, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    tag = "audit",
    params(ListQuery),
    responses((status = 200, content((Page<LineBody> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))))
)]
pub(super) async fn list(
    State(reader): State<Reader>,
    State(exports): State<Exports>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    if let Some(format) = query.format {
        return exports.stream(("audit", format), move |cursor| {
            let before = cursor.and_then(|cursor| cursor.parse().ok());
            let lines = reader.audit(before, BATCH)?;
            let next =
                lines.last().filter(|_| lines.len() == BATCH as usize).map(|last| last.seq.to_string());
            Ok((lines.into_iter().map(LineBody::from).collect(), next))
        });
    }
    let limit = limit_of(query.limit);
    let lines = super::read(move || reader.audit(query.cursor, limit + 1)).await?;
    let items = lines.into_iter().map(LineBody::from).collect();
    Ok(Page::cut(items, limit, |last: &LineBody| last.seq.to_string()).into_response())
}

/// What came of looking through the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditedBody {
    /// Whether nothing was changed, removed or inserted.
    whole: bool,
    /// Lines that were looked at.
    lines: u64,
    /// Lines whose content was erased, as another line says.
    erased: u64,
    /// Lines in which addresses stand under a pseudonym by now, as another line says.
    restated: u64,
    /// The number of the last line.
    last: Option<u64>,
    /// Its hash: kept elsewhere, it shows later whether the log was cut short and begun anew.
    last_hash: Option<String>,
    /// What is wrong, the first few.
    wrong: Vec<String>,
}

impl From<Audited> for AuditedBody {
    fn from(audited: Audited) -> Self {
        let (last, last_hash) = audited.last.map(|(seq, hash)| (seq, hex(&hash))).unzip();
        Self {
            whole: audited.wrong.is_empty(),
            lines: audited.lines,
            erased: audited.erased,
            restated: audited.restated,
            last,
            last_hash,
            wrong: audited.wrong,
        }
    }
}

/// Looks through the whole audit log.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", responses((status = 200, body = AuditedBody)))]
pub(super) async fn verify(State(reader): State<Reader>) -> Result<Json<AuditedBody>, Problem> {
    let audited = super::read(move || reader.verify_audit()).await?;
    Ok(Json(audited.into()))
}
