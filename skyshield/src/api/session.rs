//! `/api/v1/session`: logging in and out, for the page. A session is a cookie that no script reads; it is kept in
//! memory only, as a digest.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::Api;
use super::auth::{Operator, Peer, digest, hex};
use super::password::step_of;
use super::problem::Problem;
use super::role::{Role, Scope};
use super::writes;
use crate::clock;
use crate::store::Record;

/// Sessions at once; beyond it, the one that was idle for longest ends.
const MAX_SESSIONS: usize = 1000;
/// A session that nobody used for this long ends.
const IDLE: Duration = Duration::from_hours(12);
/// A session ends after this long, used or not.
const LONGEST: Duration = Duration::from_hours(168);
/// A name or a password or a code is no longer than this.
const MAX_FIELD: usize = 512;
/// The name of the cookie.
const COOKIE: &str = "sky_session";

/// Who is logged in.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<Vec<u8>, Session>>>);

#[derive(Clone, Debug)]
struct Session {
    name: String,
    role: Role,
    began: Instant,
    used: Instant,
}

impl Session {
    fn holds(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < IDLE && now.saturating_duration_since(self.began) < LONGEST
    }
}

impl Sessions {
    fn begin(&self, name: &str, role: Role, now: Instant) -> Result<String, Problem> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| Problem::internal(&error))?;
        let secret = hex(&random);
        let mut sessions = self.sessions();
        sessions.retain(|_, session| session.holds(now));
        if sessions.len() >= MAX_SESSIONS {
            let idle = sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| key.clone());
            idle.and_then(|idle| sessions.remove(&idle));
        }
        // The digest is compared, and not what was presented: time tells nothing of another's secret.
        sessions.insert(digest(&secret), Session { name: name.to_owned(), role, began: now, used: now });
        Ok(secret)
    }

    /// The operator whose session a request's cookie is.
    pub(super) fn operator(&self, headers: &HeaderMap, now: Instant) -> Option<Operator> {
        let key = digest(cookie(headers)?);
        let mut sessions = self.sessions();
        let session = sessions.get_mut(&key).filter(|session| session.holds(now))?;
        session.used = now;
        let (name, role) = (session.name.clone(), session.role);
        Some(Operator { name, token: None, role, scopes: role.scopes() })
    }

    /// Ends every session of `name`.
    pub(super) fn end_all(&self, name: &str) {
        self.sessions().retain(|_, session| session.name != name);
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Session>> {
        // Whoever panicked has left it whole: each change is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, secret)| secret)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    name: String,
    password: String,
    /// The code that the app shows, for who has one.
    code: Option<String>,
}

/// Who is logged in, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Who {
    name: String,
    role: Role,
    scopes: Vec<Scope>,
}

impl From<&Operator> for Who {
    fn from(operator: &Operator) -> Self {
        Self { name: operator.name.clone(), role: operator.role, scopes: operator.scopes.iter().collect() }
    }
}

/// Logs in: the answer sets the cookie that stands for the session. Five failures in five minutes from one address,
/// or sixty from all, and there are no further attempts until the five minutes are over.
#[utoipa::path(
    post,
    path = "/api/v1/session",
    tag = "access",
    request_body = Login,
    responses((status = 200, body = Who), (status = 401, description = "Name, password or code is wrong"))
)]
pub(super) async fn log_in(
    State(api): State<Api>,
    peer: Option<Extension<Peer>>,
    body: Result<Json<Login>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(login) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    if [&login.name, &login.password].into_iter().chain(&login.code).any(|field| field.len() > MAX_FIELD) {
        return Err(Problem::bad_request(format!("name, password, code: {MAX_FIELD} bytes at the most")));
    }
    // The socket has no address, and root needs no session.
    let source =
        peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(Peer(address))| address.to_canonical());
    if let Err(wait) = api.own.attempts.take(source, clock::now()) {
        return Ok(Problem::too_many("attempts to log in", wait));
    }
    let name: String = login.name.chars().take(64).collect();
    let Some(operator) = checked(&api, login).await? else {
        tracing::warn!(%source, name = %name.escape_debug(), "somebody failed to log in");
        note(&api, &Operator::nobody(&name), "session.refused", source).await?;
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "name, password or code is wrong"));
    };
    api.own.attempts.succeeded(source);
    let secret = api.own.sessions.begin(&operator.name, operator.role, clock::now())?;
    note(&api, &operator, "session.begin", source).await?;
    tracing::info!(operator = operator.name, "an operator logged in");
    let mut response = Json(Who::from(&operator)).into_response();
    set_cookie(&mut response, &secret, LONGEST, api.own.is_encrypted)?;
    Ok(response)
}

/// The operator that `login` is of, where all of it is right. A code is taken once.
async fn checked(api: &Api, login: Login) -> Result<Option<Operator>, Problem> {
    let (reader, name) = (api.reader.clone(), login.name);
    let row = super::read(move || reader.operator(&name)).await?;
    let kept = row.as_ref().map(|row| row.password.clone());
    let is_right = api.own.passwords.is(login.password, kept).await?;
    let Some(mut row) = row.filter(|_| is_right) else { return Ok(None) };
    if let Some(secret) = &row.totp {
        let secs = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let step = login.code.as_deref().and_then(|code| step_of(secret, code, secs));
        let Some(step) = step.filter(|step| *step > row.totp_step) else { return Ok(None) };
        row.totp_step = step;
        api.store.commit(Record::Operator(row.clone())).await.map_err(|error| Problem::internal(&error))?;
    }
    let Some(role) = Role::from_name(&row.role) else { return Ok(None) };
    Ok(Some(Operator { name: row.name, token: None, role, scopes: role.scopes() }))
}

async fn note(api: &Api, operator: &Operator, action: &str, source: IpAddr) -> Result<(), Problem> {
    let content =
        json!({ "target": "/api/v1/session", "from": source, "reason": null, "before": null, "after": null });
    let row = writes::row(operator, action.to_owned(), &content);
    api.store.commit(Record::Audit(row)).await.map_err(|error| Problem::internal(&error))
}

/// Who asks, and what they may do.
#[utoipa::path(get, path = "/api/v1/session", tag = "access", responses((status = 200, body = Who)))]
pub(super) async fn show(Extension(operator): Extension<Operator>) -> Json<Who> {
    Json(Who::from(&operator))
}

/// Logs out: the session ends.
#[utoipa::path(delete, path = "/api/v1/session", tag = "access", responses((status = 200, body = Who)))]
pub(super) async fn log_out(
    State(api): State<Api>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(secret) = cookie(&headers) {
        api.own.sessions.sessions().remove(&digest(secret));
    }
    let mut response = Json(Who::from(&operator)).into_response();
    set_cookie(&mut response, "", Duration::ZERO, api.own.is_encrypted)?;
    Ok(response)
}

fn set_cookie(
    response: &mut Response,
    secret: &str,
    lasting: Duration,
    is_encrypted: bool,
) -> Result<(), Problem> {
    let secure = if is_encrypted { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={secret}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
        lasting.as_secs()
    );
    let cookie = HeaderValue::from_str(&cookie).map_err(|error| Problem::internal(&error))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(())
}
