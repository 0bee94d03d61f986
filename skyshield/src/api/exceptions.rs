//! `/api/v1/exceptions`: what is let through although a rule speaks against it.

use std::time::Instant;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Operator;
use super::export::{Exports, FormQuery};
use super::page::Page;
use super::problem::{Name, Problem};
use super::time::{Ttl, far, rfc3339, ttl};
use crate::clock;
use crate::control::Control;
use crate::engine::incident::IncidentId;
use crate::engine::source::Source;
use crate::exceptions::{Exception, Held, Scope, place_from, place_text};

/// How long an exception lasts when nothing else is asked for.
const DEFAULT_TTL: &str = "7d";
/// A comment, in characters at the most.
const MAX_COMMENT: usize = 200;

/// A scope as the API says it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScopeBody {
    pub(super) rules: Vec<String>,
    pub(super) place: Option<String>,
    pub(super) host: Option<String>,
    pub(super) route: Option<String>,
    pub(super) source: Option<String>,
}

impl ScopeBody {
    pub(super) fn new(scope: &Scope) -> Self {
        Self {
            rules: scope.rules.clone(),
            place: scope.place.as_ref().map(place_text),
            host: scope.host.clone(),
            route: scope.route.clone(),
            source: scope.source.map(|source| source.to_string()),
        }
    }

    /// The scope it says, checked.
    pub(super) fn scope(&self) -> Result<Scope, Problem> {
        let place = self.place.as_deref().map(place_from).transpose();
        let source = self.source.as_deref().map(str::parse::<Source>).transpose();
        let scope = Scope {
            rules: self.rules.clone(),
            place: place.map_err(|error| Problem::bad_request(format!("place: {error}")))?,
            host: self.host.clone(),
            route: self.route.clone(),
            source: source.map_err(|error| Problem::bad_request(format!("source: {error}")))?,
        };
        match scope.problem() {
            Some(what) => Err(Problem::bad_request(what)),
            None => Ok(scope),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExceptionBody {
    id: String,
    #[serde(flatten)]
    scope: ScopeBody,
    comment: String,
    by: String,
    made_at: String,
    expires_at: Option<String>,
    ttl_seconds: Option<u64>,
    /// Requests that it took findings from, since the daemon started.
    used: u64,
    /// Rules it names that no built-in rule answers to.
    unknown_rules: Vec<String>,
}

impl ExceptionBody {
    fn new(held: &Held, now: Instant) -> Self {
        let Exception { id, scope, comment, by, made_at, until } = &held.exception;
        let left = until.map(|until| until.saturating_duration_since(now));
        Self {
            id: id.clone(),
            scope: ScopeBody::new(scope),
            comment: comment.clone(),
            by: by.clone(),
            made_at: rfc3339(*made_at),
            expires_at: left.map(|left| clock::wall().checked_add(left).map_or_else(far, rfc3339)),
            ttl_seconds: left.map(|left| left.as_secs()),
            used: held.used(),
            unknown_rules: scope.unknown_rules(),
        }
    }
}

/// The exceptions in force, all on one page.
#[utoipa::path(
    get,
    path = "/api/v1/exceptions",
    tag = "decisions",
    params(FormQuery),
    responses((status = 200, content((Page<ExceptionBody> = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))))
)]
pub(super) async fn list(
    State(control): State<Control>,
    State(exports): State<Exports>,
    query: Result<Query<FormQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let now = clock::now();
    let set = control.exceptions().load();
    let items = set.iter().filter(|held| held.exception.holds(now));
    let items: Vec<_> = items.map(|held| ExceptionBody::new(held, now)).collect();
    match query.format {
        Some(format) => exports.whole(("exceptions", format), items),
        None => Ok(Page::whole(items).into_response()),
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewException {
    rules: Vec<String>,
    place: Option<String>,
    host: Option<String>,
    route: Option<String>,
    source: Option<String>,
    ttl: Option<String>,
    comment: Option<String>,
}

/// Makes an exception: what it covers no longer counts against a request.
#[utoipa::path(post, path = "/api/v1/exceptions", tag = "decisions", request_body = NewException, responses((status = 201, body = ExceptionBody), (status = 507, description = "There are too many")))]
pub(super) async fn add(
    State(control): State<Control>,
    Extension(operator): Extension<Operator>,
    body: Result<Json<NewException>, JsonRejection>,
) -> Result<(StatusCode, Json<ExceptionBody>), Problem> {
    let Json(body) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let NewException { rules, place, host, route, source, ttl: lasting, comment } = body;
    let scope = ScopeBody { rules, place, host, route, source }.scope()?;
    let asked = ttl(lasting.as_deref().unwrap_or(DEFAULT_TTL));
    let now = clock::now();
    let until = match asked.map_err(|what| Problem::bad_request(format!("ttl: {what}")))? {
        Ttl::For(duration) => now.checked_add(duration),
        Ttl::Forever => None,
    };
    let comment = comment.unwrap_or_default();
    if comment.chars().count() > MAX_COMMENT || comment.chars().any(char::is_control) {
        let what = format!("comment: up to {MAX_COMMENT} characters, none of them a control character");
        return Err(Problem::bad_request(what));
    }
    let mut random = [0; 16];
    // Without randomness an id is still unique to its millisecond.
    let _unlikely = getrandom::fill(&mut random);
    let made_at = clock::wall();
    let exception = Exception {
        id: IncidentId::new(made_at, u128::from_ne_bytes(random)).to_string(),
        scope,
        comment,
        by: operator.name.clone(),
        made_at,
        until,
    };
    let held = control.except(exception).await?;
    tracing::info!(operator = operator.name, exception = held.exception.id, rules = ?held.exception.scope.rules, "an operator made an exception");
    Ok((StatusCode::CREATED, Json(ExceptionBody::new(&held, now))))
}

/// Takes an exception back.
#[utoipa::path(delete, path = "/api/v1/exceptions/{id}", tag = "decisions", params(("id" = String, Path, description = "Its id")), responses((status = 200, body = ExceptionBody)))]
pub(super) async fn remove(
    State(control): State<Control>,
    Extension(operator): Extension<Operator>,
    Name(id): Name,
) -> Result<Json<ExceptionBody>, Problem> {
    let held = control.unexcept(id).await?;
    tracing::info!(
        operator = operator.name,
        exception = held.exception.id,
        "an operator removed an exception"
    );
    Ok(Json(ExceptionBody::new(&held, clock::now())))
}
