//! `/api/v1/monitoring/alerts/`: what fires and what has fired.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Operator;
use super::export::{BATCH, Exports, Format};
use super::page::{Page, limit_of};
use super::problem::Problem;
use super::time::rfc3339;
use crate::alerts::{Alerts, Tested};
use crate::control::moment;
use crate::store::{AlertRow, Reader};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertBody {
    id: String,
    rule: String,
    which: String,
    severity: String,
    summary: String,
    value: f64,
    /// `firing` or `resolved`.
    state: &'static str,
    started_at: String,
    resolved_at: Option<String>,
    notified_at: Option<String>,
}

impl AlertBody {
    pub(super) fn new(row: AlertRow) -> Self {
        let moment = |ms: i64| rfc3339(moment(ms));
        Self {
            id: row.id,
            rule: row.rule,
            which: row.which,
            severity: row.severity,
            summary: row.summary,
            value: row.value,
            state: if row.resolved_at_ms.is_none() { "firing" } else { "resolved" },
            started_at: moment(row.started_at_ms),
            resolved_at: row.resolved_at_ms.map(moment),
            notified_at: row.notified_at_ms.map(moment),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    #[default]
    All,
    Firing,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many items at the most: 1 to 1000, 100 where nothing is said.
    limit: Option<u32>,
    /// What the page before gave as `next_cursor`.
    cursor: Option<String>,
    /// `firing` for those that have not ended; all where nothing is said.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    state: Wanted,
    /// All of them, streamed.
    #[param(inline)]
    format: Option<Format>,
}

impl Wanted {
    /// At the most `limit` of them before the one with id `before`, newest first.
    fn of(self, reader: &Reader, before: Option<&str>, limit: u32) -> rusqlite::Result<Vec<AlertBody>> {
        let rows = match self {
            Self::All => reader.alerts(before, limit),
            Self::Firing => reader.alerts_firing(before, limit),
        };
        Ok(rows?.into_iter().map(AlertBody::new).collect())
    }
}

/// Alerts, newest first: those that fire, and those that have ended.
#[utoipa::path(
    get,
    path = "/api/v1/monitoring/alerts/",
    tag = "monitoring",
    params(ListQuery),
    responses((status = 200, content((Page<AlertBody> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))))
)]
pub(super) async fn list(
    State(reader): State<Reader>,
    State(exports): State<Exports>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let wanted = query.state;
    if let Some(format) = query.format {
        return exports.stream(("alerts", format), move |cursor| {
            let items = wanted.of(&reader, cursor.as_deref(), BATCH)?;
            let next = items.last().filter(|_| items.len() == BATCH as usize).map(|last| last.id.clone());
            Ok((items, next))
        });
    }
    let limit = limit_of(query.limit);
    let items = super::read(move || wanted.of(&reader, query.cursor.as_deref(), limit + 1)).await?;
    Ok(Page::cut(items, limit, |last: &AlertBody| last.id.clone()).into_response())
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestedBody {
    receivers: Vec<ReceiverBody>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ReceiverBody {
    /// `email`, or the webhook's name.
    receiver: String,
    /// Whether it took the message.
    sent: bool,
    /// Why not.
    why: Option<String>,
}

/// Sends a message to every receiver of alerts, and says what came of it.
#[utoipa::path(post, path = "/api/v1/monitoring/alerts/test", tag = "monitoring", responses((status = 200, body = TestedBody)))]
pub(super) async fn test(
    State(alerts): State<Alerts>,
    Extension(operator): Extension<Operator>,
) -> Json<TestedBody> {
    tracing::info!(operator = operator.name, "a test of the alerts is asked for");
    let tested = alerts.test().await.into_iter();
    let receivers = tested.map(|Tested { receiver, sent, why }| ReceiverBody { receiver, sent, why });
    Json(TestedBody { receivers: receivers.collect() })
}
