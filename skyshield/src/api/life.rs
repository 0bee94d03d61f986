//! `POST /api/v1/reload`: the configuration is read again. `POST /api/v1/upgrade`: a successor takes over.
//! `POST /api/v1/apply`: a configuration is on trial until it is confirmed.

use std::path::PathBuf;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Operator;
use super::listen::Connection;
use super::problem::Problem;
use super::time::{Ttl, ttl};
use crate::clock;
use crate::lifecycle::{
    Applied, Caller, Confirmed, Proposal, Proposed, Reloaded, Unfulfilled, Upgraded, Wishes,
};

/// How the command line tells the SSH session that it runs in.
const SESSION: &str = "skyshield-session";
/// A trial is no longer than this.
const LONGEST_TRIAL: Duration = Duration::from_hours(1);

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
    Ok(Json(wishes.reload().await?.into()))
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

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplyBody {
    /// The file, on this host.
    #[schema(value_type = String)]
    file: PathBuf,
    /// For how long it waits for its confirmation: 30s, 5m; 60s where nothing is said.
    confirm: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AppliedBody {
    /// Keys that have changed and are in force.
    applied: Vec<String>,
    /// Keys that are not in force before a restart.
    needs_restart: Vec<String>,
    /// After so many seconds without a confirmation all is as it was.
    confirm_within_secs: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConfirmedBody {
    /// Where it is read from by the next start.
    place: String,
    /// Where the one before it is kept, if there was one.
    previous: Option<String>,
}

/// Puts a configuration on trial: it is rolled back unless it is confirmed over a new connection.
#[utoipa::path(post, path = "/api/v1/apply", tag = "configuration", request_body = ApplyBody, responses((status = 200, body = AppliedBody), (status = 422)))]
pub(super) async fn apply(
    State(wishes): State<Wishes>,
    Extension(operator): Extension<Operator>,
    connection: Option<Extension<Connection>>,
    headers: HeaderMap,
    body: Result<Json<ApplyBody>, JsonRejection>,
) -> Result<Json<AppliedBody>, Problem> {
    let Json(body) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let span = trial_of(body.confirm.as_deref())?;
    if !body.file.is_absolute() {
        return Err(Problem::bad_request("file: name it with its whole path, from / on"));
    }
    tracing::info!(operator = operator.name, file = %body.file.display(), "a configuration is to be tried");
    let (what, by) = (Proposed::File(body.file), caller(connection, &headers));
    Ok(Json(wishes.apply(Proposal { what, span, by, only_if: None }).await?.into()))
}

impl From<Applied> for AppliedBody {
    fn from(Applied { applied, needs_restart, confirm_within_secs }: Applied) -> Self {
        Self { applied, needs_restart, confirm_within_secs }
    }
}

impl From<Reloaded> for ReloadedBody {
    fn from(Reloaded { applied, needs_restart }: Reloaded) -> Self {
        Self { applied, needs_restart }
    }
}

/// For how long a trial is to wait for its confirmation.
pub(super) fn trial_of(confirm: Option<&str>) -> Result<Duration, Problem> {
    match ttl(confirm.unwrap_or("60s")) {
        Ok(Ttl::For(span)) if span <= LONGEST_TRIAL => Ok(span),
        Ok(_) => Err(Problem::bad_request("confirm: an hour is the longest")),
        Err(what) => Err(Problem::bad_request(format!("confirm: {what}"))),
    }
}

/// Keeps the configuration that is on trial, for whoever has come by a connection younger than it.
#[utoipa::path(post, path = "/api/v1/apply/confirm", tag = "configuration", responses((status = 200, body = ConfirmedBody), (status = 422)))]
pub(super) async fn confirm(
    State(wishes): State<Wishes>,
    Extension(operator): Extension<Operator>,
    connection: Option<Extension<Connection>>,
    headers: HeaderMap,
) -> Result<Json<ConfirmedBody>, Problem> {
    tracing::info!(operator = operator.name, "the configuration on trial is to be kept");
    let Confirmed { place, previous } = wishes.confirm(caller(connection, &headers)).await?;
    let previous = previous.map(|previous| previous.display().to_string());
    Ok(Json(ConfirmedBody { place: place.display().to_string(), previous }))
}

/// Goes back to what was in force before the trial.
#[utoipa::path(delete, path = "/api/v1/apply", tag = "configuration", responses((status = 200, body = ReloadedBody), (status = 422)))]
pub(super) async fn roll_back(
    State(wishes): State<Wishes>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<ReloadedBody>, Problem> {
    tracing::info!(operator = operator.name, "the configuration on trial is to be rolled back");
    Ok(Json(wishes.roll_back().await?.into()))
}

pub(super) fn caller(connection: Option<Extension<Connection>>, headers: &HeaderMap) -> Caller {
    let session = headers.get(SESSION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Caller { since: connection.map_or_else(clock::now, |Extension(connection)| connection.since), session }
}

impl From<Unfulfilled> for Problem {
    fn from(unfulfilled: Unfulfilled) -> Self {
        let status = match unfulfilled {
            Unfulfilled::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Unfulfilled::Stale => StatusCode::PRECONDITION_FAILED,
            Unfulfilled::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, unfulfilled.to_string())
    }
}
