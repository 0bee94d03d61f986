//! `/api/v1/config`: the configuration in force, without its secrets, and putting another in its place.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::Operator;
use super::life::{AppliedBody, ReloadedBody, caller, trial_of};
use super::listen::Connection;
use super::problem::Problem;
use crate::lifecycle::{Proposal, Proposed, Wishes};

/// Every key of the configuration in force with its value, without secrets. `ETag` names its revision: it changes with
/// every change, of a secret as well, and with every start.
#[utoipa::path(
    get,
    path = "/api/v1/config",
    tag = "configuration",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` that is known already")),
    responses(
        (status = 200, body = Object, headers(("ETag" = String, description = "Its revision"))),
        (status = 304, description = "It is the one that is known")
    )
)]
pub(super) async fn show(State(wishes): State<Wishes>, headers: HeaderMap) -> Result<Response, Problem> {
    let in_force = wishes.shown().get();
    let tag = tag(&in_force.revision)?;
    if named(&headers, &header::IF_NONE_MATCH).any(|known| known == "*" || weak(known) == tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(([(header::ETAG, tag)], Json(&*in_force.shown)).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReplaceQuery {
    /// For how long it waits for its confirmation: 30s, 5m; 60s where nothing is said.
    confirm: Option<String>,
}

/// Puts the configuration that is sent (TOML, the text of the file) on trial in the place of the one in force.
///
/// `If-Match` names the revision that it replaces: somebody else's change is not lost. It is rolled back unless it is
/// confirmed over a new connection, and it is the file in the place of the configuration from then on.
#[utoipa::path(
    put,
    path = "/api/v1/config",
    tag = "configuration",
    params(
        ReplaceQuery,
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the one it replaces, or `*`")
    ),
    request_body(content = String, content_type = "text/plain"),
    responses(
        (status = 200, body = AppliedBody, headers(("ETag" = String, description = "The revision on trial"))),
        (status = 412, description = "The configuration in force is another by now"),
        (status = 422, description = "What is wrong with it, and where"),
        (status = 428, description = "`If-Match` is asked for")
    )
)]
pub(super) async fn replace(
    State(wishes): State<Wishes>,
    Extension(operator): Extension<Operator>,
    connection: Option<Extension<Connection>>,
    query: Result<Query<ReplaceQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let span = trial_of(query.confirm.as_deref())?;
    let only_if = replaces(&headers, &wishes.shown().get().revision)?;
    let what = Proposed::Text(text(&headers, body)?);
    tracing::info!(operator = operator.name, "a configuration that was sent is to be tried");
    let applied = wishes.apply(Proposal { what, span, by: caller(connection, &headers), only_if }).await?;
    let tag = tag(&wishes.shown().get().revision)?;
    Ok(([(header::ETAG, tag)], Json(AppliedBody::from(applied))).into_response())
}

/// Says which keys the configuration that is sent (TOML) would change, or what is wrong with it. Nothing changes.
#[utoipa::path(
    post,
    path = "/api/v1/config/check",
    tag = "configuration",
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = ReloadedBody), (status = 422, description = "What is wrong with it, and where"))
)]
pub(super) async fn check(
    State(wishes): State<Wishes>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ReloadedBody>, Problem> {
    Ok(Json(wishes.check(text(&headers, body)?).await?.into()))
}

/// The revision that `headers` say is to be replaced; none is whichever is in force.
fn replaces(headers: &HeaderMap, in_force: &str) -> Result<Option<String>, Problem> {
    if !headers.contains_key(header::IF_MATCH) {
        let what = "name the configuration that it replaces: If-Match with the ETag of GET /api/v1/config";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, what));
    }
    if named(headers, &header::IF_MATCH).any(|known| known == "*") {
        return Ok(None);
    }
    // A weak tag matches nothing here (RFC 9110, 13.1.1).
    if named(headers, &header::IF_MATCH).any(|known| tag(in_force).is_ok_and(|tag| tag == known)) {
        return Ok(Some(in_force.to_owned()));
    }
    let what = format!("the configuration in force is \"{in_force}\" by now; read it again");
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, what))
}

fn text(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<String, Problem> {
    let body = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !matches!(kind, "" | "application/toml" | "text/plain") {
        let what = "send the text of the file, as application/toml or text/plain";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
    }
    String::from_utf8(body.into()).map_err(|_| Problem::bad_request("the text is not UTF-8"))
}

/// Every tag that a header names.
fn named<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// What a weak comparison looks at.
fn weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn tag(revision: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(&format!("\"{revision}\"")).map_err(|error| Problem::internal(&error))
}
