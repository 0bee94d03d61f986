//! `/api/v1/tokens`: who may come in by the network.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::auth::{self, Operator};
use super::problem::{Name, Problem};
use super::time::{Ttl, rfc3339, ttl};
use crate::clock;
use crate::control::{millis, moment};
use crate::store::{Reader, Record, Store, TokenRow};

/// A token's name, in characters at the most.
const MAX_NAME: usize = 64;
/// Tokens at the most.
const MAX_TOKENS: usize = 1000;

#[derive(Debug, Serialize)]
pub(super) struct TokenBody {
    id: String,
    name: String,
    made_at: String,
    expires_at: Option<String>,
    /// Only in the answer to the request that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl TokenBody {
    fn new(row: TokenRow, token: Option<String>) -> Self {
        let expires_at = row.expires_at_ms.map(|expires| rfc3339(moment(expires)));
        Self { id: row.id, name: row.name, made_at: rfc3339(moment(row.made_at_ms)), expires_at, token }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Page {
    items: Vec<TokenBody>,
    next_cursor: Option<String>,
}

pub(super) async fn list(State(reader): State<Reader>) -> Result<Json<Page>, Problem> {
    let rows = super::read(move || reader.tokens()).await?;
    let items = rows.into_iter().map(|row| TokenBody::new(row, None)).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    name: String,
    ttl: Option<String>,
}

pub(super) async fn add(
    State(store): State<Store>,
    State(reader): State<Reader>,
    Extension(operator): Extension<Operator>,
    body: Result<Json<NewToken>, JsonRejection>,
) -> Result<(StatusCode, Json<TokenBody>), Problem> {
    let Json(body) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let is_name =
        (1..=MAX_NAME).contains(&body.name.chars().count()) && !body.name.chars().any(char::is_control);
    if !is_name {
        let what = format!("name: 1 to {MAX_NAME} characters, none of them a control character");
        return Err(Problem::bad_request(what));
    }
    let expires_at_ms = match body.ttl.as_deref().map(ttl).transpose() {
        Ok(Some(Ttl::For(duration))) => clock::wall().checked_add(duration).map(millis),
        Ok(Some(Ttl::Forever) | None) => None,
        Err(what) => return Err(Problem::bad_request(format!("ttl: {what}"))),
    };
    if super::read(move || reader.tokens()).await?.len() >= MAX_TOKENS {
        let what = format!("there are {MAX_TOKENS} tokens already; revoke some");
        return Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, what));
    }
    let (token, id, secret_sha256) = auth::mint().map_err(|error| Problem::internal(&error))?;
    let row =
        TokenRow { id, name: body.name, secret_sha256, made_at_ms: millis(clock::wall()), expires_at_ms };
    store.commit(Record::Token(row.clone())).await.map_err(|error| Problem::internal(&error))?;
    tracing::info!(operator = operator.name, token = row.name, "an operator made a token");
    Ok((StatusCode::CREATED, Json(TokenBody::new(row, Some(token)))))
}

pub(super) async fn revoke(
    State(store): State<Store>,
    State(reader): State<Reader>,
    Extension(operator): Extension<Operator>,
    Name(id): Name,
) -> Result<Json<TokenBody>, Problem> {
    let wanted = id.clone();
    let row =
        super::read(move || reader.token(&wanted)).await?.ok_or_else(|| Problem::no_such("token", &id))?;
    store.commit(Record::TokenRevoked { id }).await.map_err(|error| Problem::internal(&error))?;
    tracing::info!(operator = operator.name, token = row.name, "an operator revoked a token");
    Ok(Json(TokenBody::new(row, None)))
}
