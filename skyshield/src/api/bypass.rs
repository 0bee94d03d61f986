//! `/api/v1/kernel/bypass`: everything passes in the kernel for a while, and is only counted.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::auth::Operator;
use super::problem::Problem;
use super::time::{Ttl, ttl};
use super::writes::Change;
use crate::control::{Control, LONGEST_BYPASS};

/// For how long, where nothing is said.
const USUAL: &str = "10m";

/// Whether everything passes in the kernel.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct BypassBody {
    bypassed: bool,
    /// After so many it ends by itself; 0 where nothing is bypassed.
    seconds_left: u64,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBypass {
    /// For how long: 30s, 10m, 4h; 10m where nothing is said, 24h is the longest.
    ttl: Option<String>,
    /// Why, for those who read it later.
    reason: Option<String>,
}

/// Has everything pass in the kernel, and be counted, for a while that begins now: bans, rules and rates drop nothing
/// there. Doors refuse as ever. It ends by itself, and with a restart.
#[utoipa::path(put, path = "/api/v1/kernel/bypass", tag = "configuration", request_body = NewBypass, responses((status = 200, body = BypassBody)))]
pub(super) async fn begin(
    State(control): State<Control>,
    Extension(operator): Extension<Operator>,
    body: Result<Json<NewBypass>, JsonRejection>,
) -> Result<Json<BypassBody>, Problem> {
    let Json(body) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let span = match ttl(body.ttl.as_deref().unwrap_or(USUAL)) {
        Ok(Ttl::For(span)) if span <= LONGEST_BYPASS => span,
        Ok(_) => return Err(Problem::bad_request("ttl: 24h is the longest")),
        Err(what) => return Err(Problem::bad_request(format!("ttl: {what}"))),
    };
    tracing::warn!(operator = operator.name, reason = body.reason, "the kernel side is to be bypassed");
    control.bypass(span).await?;
    Ok(Json(span.into()))
}

/// Has bans, rules and rates hold again in the kernel. What was ended is in the audit log.
#[utoipa::path(delete, path = "/api/v1/kernel/bypass", tag = "configuration", responses((status = 200, body = BypassBody)))]
pub(super) async fn end(
    State(control): State<Control>,
    Extension(operator): Extension<Operator>,
) -> Result<(Extension<Change>, Json<BypassBody>), Problem> {
    tracing::info!(operator = operator.name, "the kernel side is to be bypassed no more");
    let before = BypassBody::from(control.end_bypass().await?);
    let now = BypassBody::from(Duration::ZERO);
    let change = Change { before: json!(before), after: json!(now), ..Change::default() };
    Ok((Extension(change), Json(now)))
}

impl From<Duration> for BypassBody {
    fn from(left: Duration) -> Self {
        // Of the last second something is left.
        let seconds_left = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Self { bypassed: !left.is_zero(), seconds_left }
    }
}
