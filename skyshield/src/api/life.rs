//! `POST /api/v1/reload`: the configuration is read again. `POST /api/v1/upgrade`: a successor takes over.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Operator;
use super::problem::Problem;
use crate::lifecycle::{Reloaded, Unfulfilled, Upgraded, Wishes};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReloadedBody {
    /// Keys that have changed and are in force from here on.
    applied: Vec<String>,
    /// Keys that differ from what the daemon was started with, and are not in force before a restart.
    needs_restart: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UpgradedBody {
    /// The successor's process.
    pid: u32,
}

/// Reads the configuration again: answers when it is in force, or says what is wrong with it.
#[utoipa::path(post, path = "/api/v1/reload", tag = "configuration", responses((status = 200, body = ReloadedBody), (status = 422)))]
pub(super) async fn reload(
    State(wishes): State<Wishes>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<ReloadedBody>, Problem> {
    tracing::info!(operator = operator.name, "a reload is asked for");
    let Reloaded { applied, needs_restart } = wishes.reload().await?;
    Ok(Json(ReloadedBody { applied, needs_restart }))
}

/// Hands over to a successor: answers when it serves, or says why it does not.
#[utoipa::path(post, path = "/api/v1/upgrade", tag = "configuration", responses((status = 200, body = UpgradedBody), (status = 422)))]
pub(super) async fn upgrade(
    State(wishes): State<Wishes>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<UpgradedBody>, Problem> {
    tracing::info!(operator = operator.name, "an upgrade is asked for");
    let Upgraded { pid } = wishes.upgrade().await?;
    Ok(Json(UpgradedBody { pid }))
}

impl From<Unfulfilled> for Problem {
    fn from(unfulfilled: Unfulfilled) -> Self {
        let status = match unfulfilled {
            Unfulfilled::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Unfulfilled::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, unfulfilled.to_string())
    }
}
