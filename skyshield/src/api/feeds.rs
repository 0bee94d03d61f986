//! `/api/v1/feeds`: the lists of others, and fetching one now.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::knowing::Knowing;
use super::page::Page;
use super::problem::{Name, Problem};
use super::time::rfc3339;
use crate::control::moment;
use crate::reputation::FeedState;

/// A list of others.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FeedBody {
    name: String,
    /// What comes of being on it: `ban`, `weigh` or `log`.
    action: &'static str,
    /// `ok`, `failing` (the last good one is in force) or `empty` (none is).
    status: &'static str,
    /// Ranges in force.
    ranges: u64,
    /// IPv4 addresses in force.
    addresses_v4: u64,
    /// Entries that were left out: private, special-purpose or protected.
    left_out: u64,
    /// When it was last fetched and found good.
    fetched_at: Option<String>,
    /// In how many seconds it is fetched again.
    next_in_seconds: u64,
    /// Requests at the doors from sources on it, since the daemon started.
    hits: u64,
    /// Why what came last is not in force, where it is not.
    problem: Option<String>,
}

impl From<FeedState> for FeedBody {
    fn from(state: FeedState) -> Self {
        let FeedState { name, action, in_force, fetched_at_ms, next_in_secs, hits, problem } = state;
        let measure = in_force.unwrap_or_default();
        Self {
            name,
            action,
            status: match (in_force.is_some(), problem.is_some()) {
                (false, _) => "empty",
                (true, true) => "failing",
                (true, false) => "ok",
            },
            ranges: measure.ranges,
            addresses_v4: measure.addresses_v4,
            left_out: measure.left_out,
            fetched_at: fetched_at_ms.map(|ms| rfc3339(moment(ms))),
            next_in_seconds: next_in_secs,
            hits,
            problem,
        }
    }
}

/// The lists, all on one page.
#[utoipa::path(get, path = "/api/v1/feeds", tag = "knowledge", responses((status = 200, body = Page<FeedBody>)))]
pub(super) async fn list(State(knowing): State<Knowing>) -> Json<Page<FeedBody>> {
    Page::whole(knowing.feeds.states().into_iter().map(FeedBody::from).collect())
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RefreshBody {
    /// Take it up although half of it is gone.
    accept: bool,
    /// Why.
    reason: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RefreshedBody {
    name: String,
    accept: bool,
}

/// Has a list fetched now. The answer does not wait for it.
#[utoipa::path(post, path = "/api/v1/feeds/{name}/refresh", tag = "knowledge", params(("name" = String, Path, description = "The list's name")), request_body = RefreshBody, responses((status = 202, body = RefreshedBody)))]
pub(super) async fn refresh(
    State(knowing): State<Knowing>,
    Name(name): Name,
    body: Result<Json<RefreshBody>, JsonRejection>,
) -> Result<(StatusCode, Json<RefreshedBody>), Problem> {
    let Json(body) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    if body.reason.as_ref().is_some_and(|reason| reason.chars().count() > 200) {
        return Err(Problem::bad_request("reason: at the most 200 characters"));
    }
    let accept = body.accept;
    knowing.feeds.refresh(&name, accept).await.map_err(|_| Problem::no_such("list", &name))?;
    Ok((StatusCode::ACCEPTED, Json(RefreshedBody { name, accept })))
}
