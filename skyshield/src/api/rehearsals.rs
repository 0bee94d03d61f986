//! `/api/v1/rehearsals`: known attacks and honest requests through the configuration in force.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::Problem;
use crate::rehearsal::{Outcome, Stage};

/// The last rehearsal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Last {
    /// What it came to; none where nothing was rehearsed yet.
    last: Option<Outcome>,
}

/// What the last rehearsal came to.
#[utoipa::path(get, path = "/api/v1/rehearsals", tag = "monitoring", responses((status = 200, body = Last)))]
pub(super) async fn last(State(stage): State<Stage>) -> Json<Last> {
    Json(Last { last: stage.last().map(|last| Outcome::clone(&last)) })
}

/// There is nothing to be said yet about how to rehearse.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RehearseBody {}

/// Rehearses now: nobody is refused, limited or banned by it.
#[utoipa::path(post, path = "/api/v1/rehearsals", tag = "monitoring", request_body = RehearseBody, responses((status = 200, body = Outcome)))]
pub(super) async fn now(
    State(stage): State<Stage>,
    body: Result<Json<RehearseBody>, JsonRejection>,
) -> Result<Json<Outcome>, Problem> {
    let Json(RehearseBody {}) =
        body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let outcome = stage.rehearse().await.map_err(|error| Problem::internal(&error))?;
    Ok(Json(Outcome::clone(&outcome)))
}
