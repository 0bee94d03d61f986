//! `POST /api/v1/reload`: the configuration is read again. `POST /api/v1/upgrade`: a successor takes over.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;

use super::auth::Operator;
use super::problem::Problem;
use crate::lifecycle::{Reloaded, Unfulfilled, Upgraded, Wishes};

/// Answers when the new configuration is in force, or says what is wrong with it.
pub(super) async fn reload(
    State(wishes): State<Wishes>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<Reloaded>, Problem> {
    tracing::info!(operator = operator.name, "a reload is asked for");
    Ok(Json(wishes.reload().await?))
}

/// Answers when the successor serves, or says why it does not.
pub(super) async fn upgrade(
    State(wishes): State<Wishes>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<Upgraded>, Problem> {
    tracing::info!(operator = operator.name, "an upgrade is asked for");
    Ok(Json(wishes.upgrade().await?))
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
