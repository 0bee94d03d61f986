//! What went wrong, as RFC 9457 says it: `application/problem+json`, everywhere.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::control::OrderError;
use crate::engine::allow::NotAllowed;
use crate::engine::ledger::Rejected;
use crate::engine::ruling::NotRuled;

/// A problem as it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    #[schema(value_type = String)]
    title: &'static str,
    status: u16,
    detail: String,
}

impl Problem {
    /// A problem of this status; `detail` says what, where and how to mend it.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
        }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn no_such(what: &str, id: &str) -> Self {
        let id: String = id.chars().take(80).collect();
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what} `{}`", id.escape_debug()))
    }

    /// The same, with the wider bans that `covering` lists.
    pub(super) fn with_wider_bans(mut self, covering: &str) -> Self {
        self.detail = format!("{}, but wider ones hold it: {covering}", self.detail);
        self
    }

    /// There were too many of `what`, and there are none for `wait`.
    pub(super) fn too_many(what: &str, wait: Duration) -> Response {
        let secs = wait.as_secs().max(1);
        let mut problem =
            Self::new(StatusCode::TOO_MANY_REQUESTS, format!("too many {what}; come again in {secs} s"));
        problem.kind = "https://iana.org/assignments/http-problem-types#quota-exceeded";
        let mut response = problem.into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
        response
    }

    /// An internal failure: the caller is told that, the log is told what.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "an admin request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the daemon failed to answer; its log says why")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        let status = match &error {
            OrderError::Rejected(Rejected::Protected { .. } | Rejected::TooWide(_))
            | OrderError::NotAllowed(NotAllowed::TooWide(_))
            | OrderError::NotRuled(NotRuled::OfASource | NotRuled::NoRate) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            OrderError::Rejected(Rejected::Full { .. } | Rejected::NoRoom { .. })
            | OrderError::NotAllowed(NotAllowed::Full)
            | OrderError::NotRuled(NotRuled::Full)
            | OrderError::NoRoom(_)
            | OrderError::TooManyExceptions => StatusCode::INSUFFICIENT_STORAGE,
            OrderError::NotRuled(NotRuled::Outranked(_)) | OrderError::NotArmed => StatusCode::CONFLICT,
            OrderError::NotInForce | OrderError::NoSuchException | OrderError::NoSuchAllow => {
                StatusCode::NOT_FOUND
            }
            OrderError::Store(_) | OrderError::Dataplane(_) | OrderError::Kernel(_) | OrderError::Busy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::new(status, format!("{error}{cause}"))
    }
}

/// The part of a path that names something, or a problem where it is no text.
#[derive(Clone, Debug)]
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(rejection) => Err(Problem::bad_request(rejection.body_text())),
        }
    }
}

pub(super) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path")
}

pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
}
