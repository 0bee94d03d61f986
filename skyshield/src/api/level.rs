//! `/api/v1/logs/level`: what is logged, and changing it while the daemon runs.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Operator;
use super::problem::Problem;
use crate::telemetry::Level;

/// What is logged.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogLevelBody {
    /// The least severe level that is logged (`error`, `warn`, `info`, `debug`, `trace`), or directives by
    /// room: `info,gateway=debug`.
    level: String,
}

impl LogLevelBody {
    fn of(level: &Level) -> Json<Self> {
        Json(Self { level: level.said().to_string() })
    }
}

/// What is logged now.
#[utoipa::path(get, path = "/api/v1/logs/level", tag = "configuration", responses((status = 200, body = LogLevelBody)))]
pub(super) async fn show(State(level): State<Level>) -> Json<LogLevelBody> {
    LogLevelBody::of(&level)
}

/// Logs more or less from here on, until the configuration is read again.
#[utoipa::path(put, path = "/api/v1/logs/level", tag = "configuration", request_body = LogLevelBody, responses((status = 200, body = LogLevelBody)))]
pub(super) async fn change(
    State(level): State<Level>,
    Extension(operator): Extension<Operator>,
    body: Result<Json<LogLevelBody>, JsonRejection>,
) -> Result<Json<LogLevelBody>, Problem> {
    let Json(body) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    level
        .change(&body.level)
        .map_err(|what| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("level: {what}")))?;
    tracing::info!(operator = operator.name, level = body.level, "what is logged was changed");
    Ok(LogLevelBody::of(&level))
}
