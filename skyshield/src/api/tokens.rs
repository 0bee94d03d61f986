//! `/api/v1/tokens`: who may come in by the network.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{self, Operator};
use super::page::Page;
use super::problem::{Name, Problem};
use super::role::{Role, Scope, Scopes};
use super::time::{Ttl, rfc3339, ttl};
use super::writes::Change;
use crate::clock;
use crate::control::{millis, moment};
use crate::engine::source::Source;
use crate::store::{Reader, Record, Store, TokenRow};

/// A token's name, in characters at the most.
const MAX_NAME: usize = 64;
/// Tokens at the most.
const MAX_TOKENS: usize = 1000;
/// Networks of one token at the most.
const MAX_NETWORKS: usize = 32;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenBody {
    id: String,
    name: String,
    role: String,
    /// What it may do: all of its role's scopes, or those it was narrowed to.
    scopes: Vec<Scope>,
    /// From where it is good; none is from everywhere.
    networks: Vec<String>,
    made_at: String,
    expires_at: Option<String>,
    /// Only in the answer to the request that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl TokenBody {
    fn new(row: TokenRow, token: Option<String>) -> Self {
        let expires_at = row.expires_at_ms.map(|expires| rfc3339(moment(expires)));
        let role = Role::from_name(&row.role).map(Role::scopes).unwrap_or_default();
        let scopes = row.scopes.as_deref().map_or(role, |kept| Scopes::from_text(kept).within(role));
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            scopes: scopes.iter().collect(),
            networks: row.networks.split_whitespace().map(str::to_owned).collect(),
            made_at: rfc3339(moment(row.made_at_ms)),
            expires_at,
            token,
        }
    }
}

/// The tokens, all on one page, oldest first.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "access", responses((status = 200, body = Page<TokenBody>)))]
pub(super) async fn list(State(reader): State<Reader>) -> Result<Json<Page<TokenBody>>, Problem> {
    let rows = super::read(move || reader.tokens()).await?;
    Ok(Page::whole(rows.into_iter().map(|row| TokenBody::new(row, None)).collect()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// Who or what will use it.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// For how long: 30d, forever; forever where nothing is said.
    ttl: Option<String>,
    /// What it is trusted with; viewer where nothing is said.
    role: Option<Role>,
    /// What of that it may do; all where nothing is said.
    scopes: Option<Vec<Scope>>,
    /// Addresses and prefixes it is good from; everywhere where nothing is said.
    networks: Option<Vec<String>>,
}

impl NewToken {
    /// What the token may do, or what is wrong with it.
    fn narrowed(&self, role: Role) -> Result<Option<String>, Problem> {
        let Some(asked) = &self.scopes else { return Ok(None) };
        let scopes = Scopes::of(asked);
        if asked.is_empty() {
            return Err(Problem::bad_request("scopes: at least one, or leave it out for all of the role's"));
        }
        match scopes.iter().find(|scope| !role.scopes().holds(*scope)) {
            Some(beyond) => {
                let what = format!("scopes: `{}` is beyond the role `{}`", beyond.name(), role.name());
                Err(Problem::bad_request(what))
            }
            None => Ok(Some(scopes.to_text())),
        }
    }

    fn bound(&self) -> Result<String, Problem> {
        let networks = self.networks.as_deref().unwrap_or_default();
        if networks.len() > MAX_NETWORKS {
            return Err(Problem::bad_request(format!("networks: at the most {MAX_NETWORKS}")));
        }
        let networks = networks.iter().map(|network| {
            let network: Source =
                network.parse().map_err(|error| Problem::bad_request(format!("networks: {error}")))?;
            Ok(network.as_prefix().to_string())
        });
        Ok(networks.collect::<Result<Vec<_>, Problem>>()?.join(" "))
    }
}

/// Makes a token; the answer is the only place where it is shown.
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    tag = "access",
    request_body = NewToken,
    responses((status = 201, body = TokenBody), (status = 507, description = "There are too many"))
)]
pub(super) async fn add(
    State(store): State<Store>,
    State(reader): State<Reader>,
    Extension(operator): Extension<Operator>,
    body: Result<Json<NewToken>, JsonRejection>,
) -> Result<(StatusCode, Extension<Change>, Json<TokenBody>), Problem> {
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
    let role = body.role.unwrap_or(Role::Viewer);
    let (scopes, networks) = (body.narrowed(role)?, body.bound()?);
    if super::read(move || reader.tokens()).await?.len() >= MAX_TOKENS {
        let what = format!("there are {MAX_TOKENS} tokens already; revoke some");
        return Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, what));
    }
    let (token, id, secret_sha256) = auth::mint().map_err(|error| Problem::internal(&error))?;
    let row = TokenRow {
        id,
        name: body.name,
        secret_sha256,
        made_at_ms: millis(clock::wall()),
        expires_at_ms,
        role: role.name().to_owned(),
        scopes,
        networks,
    };
    store.commit(Record::Token(row.clone())).await.map_err(|error| Problem::internal(&error))?;
    tracing::info!(operator = operator.name, token = row.name, "an operator made a token");
    // What is kept of it has no secret.
    let after = serde_json::to_value(TokenBody::new(row.clone(), None)).unwrap_or_default();
    let change = Change { after, ..Change::default() };
    Ok((StatusCode::CREATED, Extension(change), Json(TokenBody::new(row, Some(token)))))
}

/// Takes a token back.
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}",
    tag = "access",
    params(("id" = String, Path, description = "The part of the token between its underscores")),
    responses((status = 200, body = TokenBody))
)]
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
