//! `/api/v1/allowlist`: whom no decision may cut off, and letting sources through.

use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Operator;
use super::problem::{Name, Problem};
use super::time::{Ttl, far, rfc3339, ttl};
use crate::clock;
use crate::control::{AllowTarget, Control};
use crate::engine::allow::{Allow, AllowId, NewAllow, Whom};
use crate::engine::never_ban::Protection;
use crate::engine::source::Source;

/// An operator's comment, in characters at the most.
const MAX_COMMENT: usize = 200;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AllowBody {
    #[schema(value_type = u64)]
    id: AllowId,
    whom: String,
    comment: String,
    by: String,
    made_at: String,
    expires_at: Option<String>,
    ttl_seconds: Option<u64>,
    /// Of a name, the addresses of its last good answer.
    #[schema(value_type = Vec<String>)]
    addresses: Vec<IpAddr>,
}

impl AllowBody {
    fn new(entry: Allow, now: Instant) -> Self {
        let remaining = entry.remaining(now);
        Self {
            id: entry.id,
            whom: entry.whom.to_string(),
            made_at: rfc3339(entry.made_at),
            expires_at: remaining.map(|left| clock::wall().checked_add(left).map_or_else(far, rfc3339)),
            ttl_seconds: remaining.map(|left| left.as_secs()),
            comment: entry.comment,
            by: entry.by,
            addresses: entry.addresses,
        }
    }
}

/// A source that no decision may cut off, for whatever reason.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProtectedBody {
    #[schema(value_type = String)]
    source: Source,
    #[schema(value_type = String)]
    why: Protection,
}

/// The operator's entries, and all that is protected.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Allowlist {
    items: Vec<AllowBody>,
    /// The whole never-ban set: the entries above, and what the host protects by itself.
    protected: Vec<ProtectedBody>,
    next_cursor: Option<String>,
}

/// Whom no decision may cut off, and why.
#[utoipa::path(get, path = "/api/v1/allowlist", tag = "decisions", responses((status = 200, body = Allowlist)))]
pub(super) async fn list(State(control): State<Control>) -> Result<Json<Allowlist>, Problem> {
    let now = clock::now();
    let items = control.allows().await?.into_iter().map(|entry| AllowBody::new(entry, now)).collect();
    let never_ban = control.never_ban().await?;
    let protected = never_ban.entries().iter().map(|&(source, why)| ProtectedBody { source, why }).collect();
    Ok(Json(Allowlist { items, protected, next_cursor: None }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAllow)]
pub(super) struct NewBody {
    /// An address, a prefix or a DNS name.
    whom: String,
    /// For how long: 30m, 4h, 7d, forever; forever where nothing is said.
    ttl: Option<String>,
    #[schema(max_length = 200)]
    comment: Option<String>,
    /// Let through even a prefix that is a share of the whole internet.
    #[serde(default)]
    force: bool,
}

/// Lets a source through, whatever it does; bans of it end at once.
#[utoipa::path(post, path = "/api/v1/allowlist", tag = "decisions", request_body = NewBody, responses((status = 201, body = AllowBody), (status = 507, description = "There are too many")))]
pub(super) async fn add(
    State(control): State<Control>,
    Extension(operator): Extension<Operator>,
    body: Result<Json<NewBody>, JsonRejection>,
) -> Result<(StatusCode, Json<AllowBody>), Problem> {
    let Json(body) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let whom: Whom = body.whom.parse().map_err(|error| Problem::bad_request(format!("whom: {error}")))?;
    let ttl = match body.ttl.as_deref().map(ttl).transpose() {
        Ok(Some(Ttl::For(duration))) => Some(duration),
        Ok(Some(Ttl::Forever) | None) => None,
        Err(what) => return Err(Problem::bad_request(format!("ttl: {what}"))),
    };
    let comment = body.comment.unwrap_or_default();
    if comment.chars().count() > MAX_COMMENT || comment.chars().any(char::is_control) {
        let what = format!("comment: at the most {MAX_COMMENT} characters, none of them a control character");
        return Err(Problem::bad_request(what));
    }
    let by = operator.name.clone();
    let new = NewAllow { whom, comment, by, ttl, asked_at: clock::wall(), force: body.force };
    let entry = control.allow(new).await?;
    tracing::info!(operator = operator.name, whom = %entry.whom, "an operator lets a source through");
    Ok((StatusCode::CREATED, Json(AllowBody::new(entry, clock::now()))))
}

/// Takes an entry back.
#[utoipa::path(delete, path = "/api/v1/allowlist/{id}", tag = "decisions", params(("id" = u64, Path, description = "Its number")), responses((status = 200, body = AllowBody)))]
pub(super) async fn remove(
    State(control): State<Control>,
    Extension(operator): Extension<Operator>,
    Name(id): Name,
) -> Result<Json<AllowBody>, Problem> {
    let id = id.parse().map_err(|_| Problem::no_such("entry of the allow list with number", &id))?;
    take_back(&control, &operator, AllowTarget::Id(AllowId(id))).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveQuery {
    /// The address, the prefix or the name.
    whom: String,
}

/// Takes the entry for exactly this back.
#[utoipa::path(delete, path = "/api/v1/allowlist", tag = "decisions", params(RemoveQuery), responses((status = 200, body = AllowBody), (status = 404)))]
pub(super) async fn remove_whom(
    State(control): State<Control>,
    Extension(operator): Extension<Operator>,
    query: Result<Query<RemoveQuery>, QueryRejection>,
) -> Result<Json<AllowBody>, Problem> {
    let Query(RemoveQuery { whom }) =
        query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let whom = whom.parse().map_err(|error| Problem::bad_request(format!("whom: {error}")))?;
    take_back(&control, &operator, AllowTarget::Whom(whom)).await
}

async fn take_back(
    control: &Control,
    operator: &Operator,
    target: AllowTarget,
) -> Result<Json<AllowBody>, Problem> {
    let entry = control.disallow(target).await?;
    tracing::info!(operator = operator.name, whom = %entry.whom, "an operator took an entry off the allow list");
    Ok(Json(AllowBody::new(entry, clock::now())))
}
