//! Idempotency keys: a request that is sent again under its key is answered again, and done once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::problem::Problem;

/// Answers that are remembered; beyond it the oldest are forgotten.
const MAX_ANSWERS: usize = 10_000;
/// An answer longer than this is not remembered: its request would be done again.
const MAX_ANSWER: usize = 64 << 10;
/// How long an answer is remembered.
const KEPT_FOR: Duration = Duration::from_hours(24);
/// A key, in characters at the most.
const MAX_KEY: usize = 64;

/// What was answered under which key.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Once(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    answers: HashMap<Key, Held>,
    /// When each was asked, oldest first.
    asked: VecDeque<(Instant, Key)>,
}

type Key = (String, String);

#[derive(Debug)]
struct Held {
    fingerprint: Vec<u8>,
    answer: Option<Answer>,
}

/// An answer as it was given.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    status: StatusCode,
    kind: Option<HeaderValue>,
    body: Bytes,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, Body::from(self.body)).into_response();
        if let Some(kind) = self.kind {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        response
    }
}

/// What a key stands for.
pub(super) enum Begun {
    /// It is new: the request is to be carried out.
    Turn(Turn),
    /// It was answered.
    Answered(Answer),
}

/// The right to carry out the request of a key. Given up without an answer, the key is as good as new.
pub(super) struct Turn {
    once: Once,
    key: Option<Key>,
}

/// The key that a request names.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(key.to_owned()))
        }
        _ => Err(Problem::bad_request(format!("Idempotency-Key: 1 to {MAX_KEY} visible ASCII characters"))),
    }
}

impl Once {
    /// Begins the request of `fingerprint` that `who` sends under `key`.
    pub(super) fn begin(
        &self,
        who: &str,
        key: &str,
        fingerprint: &[u8],
        now: Instant,
    ) -> Result<Begun, Problem> {
        let key = (who.to_owned(), key.to_owned());
        let mut known = self.known();
        known.forget(now);
        if let Some(held) = known.answers.get(&key) {
            if held.fingerprint != fingerprint {
                let what = "this Idempotency-Key was used for another request";
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, what));
            }
            let answered = held.answer.clone().map(Begun::Answered);
            return answered.ok_or_else(|| {
                Problem::new(
                    StatusCode::CONFLICT,
                    "the request with this Idempotency-Key is being carried out",
                )
            });
        }
        known.asked.push_back((now, key.clone()));
        known.answers.insert(key.clone(), Held { fingerprint: fingerprint.to_vec(), answer: None });
        Ok(Begun::Turn(Turn { once: self.clone(), key: Some(key) }))
    }

    /// Forgets the answers that name `whom`: what is asked again under their keys is done again.
    pub(in super::super) fn erase(&self, whom: &str) {
        let mut known = self.known();
        let is_named = |held: &Held| {
            let says = |answer: &Answer| memchr::memmem::find(&answer.body, whom.as_bytes()).is_some();
            held.answer.as_ref().is_some_and(says)
        };
        known.answers.retain(|_, held| !is_named(held));
        let Known { answers, asked } = &mut *known;
        asked.retain(|(_, key)| answers.contains_key(key));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Whoever panicked has left it whole: each change is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget(&mut self, now: Instant) {
        while let Some((asked, _)) = self.asked.front()
            && (self.asked.len() >= MAX_ANSWERS || now.saturating_duration_since(*asked) >= KEPT_FOR)
        {
            if let Some((_, key)) = self.asked.pop_front() {
                self.answers.remove(&key);
            }
        }
    }
}

impl Turn {
    /// Remembers what was answered. What failed inside, or is too long, may be asked again.
    pub(super) async fn keep(mut self, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        let Ok(body) = to_bytes(body, super::MAX_ANSWER).await else {
            return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be read")
                .into_response();
        };
        if !parts.status.is_server_error()
            && parts.status != StatusCode::TOO_MANY_REQUESTS
            && body.len() <= MAX_ANSWER
            && let Some(key) = self.key.take()
        {
            let kind = parts.headers.get(header::CONTENT_TYPE).cloned();
            let answer = Answer { status: parts.status, kind, body: body.clone() };
            if let Some(held) = self.once.known().answers.get_mut(&key) {
                held.answer = Some(answer);
            }
        }
        Response::from_parts(parts, Body::from(body))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let mut known = self.once.known();
            known.answers.remove(&key);
            known.asked.retain(|(_, asked)| *asked != key);
        }
    }
}
