//! What every request that changes something goes through: it is done once under its idempotency key, and
//! it is in the audit log before it is answered.

mod once;

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Api;
use super::auth::{Operator, Peer};
use super::problem::Problem;
use crate::clock;
use crate::control::millis;
use crate::store::{AuditRow, Record};

pub(super) use once::Once;

/// Of an answer, so much goes into the audit log at the most; it is told where more was cut off.
const MAX_AUDITED: usize = 64 << 10;
/// An answer to a change is no longer than this.
const MAX_ANSWER: usize = 16 << 20;

/// After this route's requests nothing can be written by this process.
const HANDS_OVER: &str = "/api/v1/upgrade";

/// What a change came to, where the answer's body does not say it: a handler adds it to its answer as an
/// `Extension`. Without it, what a POST or PUT answers is what is now, and what a DELETE answers is what was.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    pub(super) before: Value,
    pub(super) after: Value,
    /// Instead of the request's `reason` or `comment`.
    pub(super) reason: Option<String>,
    /// What it is called in the log, instead of its method and route.
    pub(super) action: Option<&'static str>,
    /// What was asked for, where the request's own target is not to be kept.
    pub(super) target: Option<String>,
}

/// What a route's requests that change something go by.
#[derive(Clone)]
pub(super) struct Rule {
    pub(super) api: Api,
    pub(super) max_body: usize,
    /// The route's path, without a slash at its end.
    pub(super) route: Arc<str>,
}

/// Carries out a request that changes something; lets others pass.
pub(super) async fn carry_out(
    State(Rule { api, max_body, route }): State<Rule>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, max_body).await else {
        let what = format!("the body is longer than {max_body} bytes, or broke off");
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what).into_response();
    };
    // Who is not known yet is logging in, and shares no key with others.
    let asked = Asked::new(&route, &parts, &body);
    let key = match once::key(&parts.headers) {
        Ok(key) => key.filter(|_| asked.operator.is_some()),
        Err(problem) => return problem.into_response(),
    };
    let turn = match key {
        None => None,
        Some(key) => match api.own.once.begin(asked.who(), &key, &asked.fingerprint(&body), clock::now()) {
            Ok(once::Begun::Turn(turn)) => Some(turn),
            Ok(once::Begun::Answered(answer)) => return answer.into_response(),
            Err(problem) => return problem.into_response(),
        },
    };
    // Whoever hands over has no writer any more when it is done: that it was asked for is written before.
    let hands_over = &*route == HANDS_OVER;
    if hands_over
        && let Some(operator) = &asked.operator
        && let Err(error) = api.store.commit(Record::Audit(asked.row(operator, None, &Bytes::new()))).await
    {
        tracing::error!(%error, action = asked.action, "a change could not be written to the audit log");
        let what = "it could not be written to the audit log, so it was not done; the daemon's log says why";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, what).into_response();
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let response = if hands_over { response } else { audited(&api, &asked, response).await };
    match turn {
        Some(turn) => turn.keep(response).await,
        None => response,
    }
}

/// The answer, once what was changed is in the audit log.
async fn audited(api: &Api, asked: &Asked, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_ANSWER).await else {
        let what = "the answer could not be read; whether it was done is in the lists";
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, what).into_response();
    };
    let change = parts.extensions.remove::<Change>();
    if parts.status.is_success()
        && let Some(operator) = &asked.operator
    {
        let row = asked.row(operator, change, &body);
        if let Err(error) = api.store.commit(Record::Audit(row)).await {
            tracing::error!(%error, action = asked.action, "a change could not be written to the audit log");
            let what = "it was done, but could not be written to the audit log; the daemon's log says why";
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, what).into_response();
        }
    }
    Response::from_parts(parts, Body::from(body))
}

/// What is asked for, as the audit log says it.
struct Asked {
    operator: Option<Operator>,
    peer: Option<Peer>,
    method: Method,
    action: String,
    target: String,
    reason: Option<String>,
}

impl Asked {
    fn new(route: &str, parts: &request::Parts, body: &Bytes) -> Self {
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        Self {
            operator: parts.extensions.get().cloned(),
            peer: parts.extensions.get().copied(),
            method: parts.method.clone(),
            action: format!("{} {}", parts.method, route),
            target: target.chars().take(1000).collect(),
            reason: is_json(&parts.headers).then(|| reason(body)).flatten(),
        }
    }

    fn who(&self) -> &str {
        self.operator.as_ref().map_or("", |operator| operator.token.as_deref().unwrap_or(&operator.name))
    }

    fn fingerprint(&self, body: &Bytes) -> Vec<u8> {
        super::auth::digest(&format!("{} {}\n{}", self.method, self.target, super::auth::hex(body)))
    }

    fn row(&self, operator: &Operator, change: Option<Change>, body: &Bytes) -> AuditRow {
        let mut change = change.unwrap_or_else(|| {
            let answered = if body.len() <= MAX_AUDITED {
                serde_json::from_slice(body).unwrap_or(Value::Null)
            } else {
                json!({ "bytes": body.len() })
            };
            match self.method {
                Method::DELETE => Change { before: answered, ..Change::default() },
                _ => Change { after: answered, ..Change::default() },
            }
        });
        let reason = change.reason.take().or_else(|| self.reason.clone());
        let content = json!({
            "target": change.target.as_ref().unwrap_or(&self.target),
            "from": self.peer.map(|Peer(address)| address),
            "reason": reason,
            "before": change.before,
            "after": change.after,
        });
        row(operator, change.action.unwrap_or(&self.action).to_owned(), &content)
    }
}

/// A line of the log for what `operator` has done.
pub(super) fn row(operator: &Operator, action: String, content: &Value) -> AuditRow {
    let mut salt = [0; 16];
    // Without randomness the commitment is one that can be guessed; the chain holds all the same.
    let _unlikely = getrandom::fill(&mut salt);
    AuditRow {
        at_ms: millis(clock::wall()),
        actor: operator.name.clone(),
        token: operator.token.clone(),
        role: operator.role.name().to_owned(),
        action,
        content: content.to_string(),
        salt,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/json"))
}

/// Why, in the words of whoever asks.
fn reason(body: &Bytes) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Said {
        reason: Option<String>,
        comment: Option<String>,
    }
    let said: Said = serde_json::from_slice(body).ok()?;
    said.reason.or(said.comment)
}
