//! One request to the admin API over its socket.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::{Failure, network};

/// The daemon answers within this long, or it does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A long list takes longer.
const LONG_PATIENCE: Duration = Duration::from_mins(1);
/// An answer is no longer than this.
const MAX_ANSWER: usize = 64 << 20;

/// The answer to `method path` with `body`, or what the daemon said against it.
pub(super) fn ask(socket: &Path, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let body = body.map(|body| ("application/json", body.to_string()));
    let (is_success, answer) = asked(socket, method, path, body, PATIENCE)?;
    let parsed = serde_json::from_slice(&answer);
    let parsed = parsed.map_err(|error| Failure::Unreachable(format!("the daemon answers no JSON: {error}")));
    if is_success {
        return parsed;
    }
    Err(Failure::Refused(detail_of(&parsed?).to_owned()))
}

/// What the daemon says against something.
pub(super) fn detail_of(answer: &Value) -> &str {
    answer.get("detail").and_then(Value::as_str).unwrap_or("the daemon refused")
}

/// The answer to `method path` with a text, as it is, and whether it is a good one.
pub(super) fn ask_text(
    socket: &Path,
    method: Method,
    path: &str,
    body: (&'static str, String),
) -> Result<(bool, Bytes), Failure> {
    asked(socket, method, path, Some(body), LONG_PATIENCE)
}

/// What the daemon answers, wherever it is, and whether that is a good answer.
fn asked(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<(&'static str, String)>,
    patience: Duration,
) -> Result<(bool, Bytes), Failure> {
    let far = network::Place::named()?;
    let unreachable = |what: String| {
        Failure::Unreachable(match &far {
            Some(_) => format!("the daemon that SKYSHIELD_URL names does not answer: {what}"),
            None => format!(
                "the daemon does not answer on {}: {what}; is it running (`skyshield run`), and are you root?",
                socket.display()
            ),
        })
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| unreachable(error.to_string()))?;
    let exchange = async {
        match &far {
            Some(far) => far.exchange(method, path, body).await,
            None => exchange(socket, method, path, body).await,
        }
    };
    let answered = runtime.block_on(async { tokio::time::timeout(patience, exchange).await });
    answered
        .unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs())))
        .map_err(unreachable)
}

async fn exchange(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<(&'static str, String)>,
) -> Result<(bool, Bytes), String> {
    let (kind, body) = body.unwrap_or(("application/json", String::new()));
    let said = |error: &dyn std::error::Error| error.to_string();
    let stream = UnixStream::connect(socket).await.map_err(|error| said(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    tokio::spawn(connection);
    // A configuration on trial is confirmed from another session than the one that may be cut off by it.
    let session = std::env::var("SSH_CONNECTION").ok().filter(|session| session.is_ascii());
    let mut request = Request::builder();
    if let Some(session) = session {
        request = request.header("skyshield-session", session);
    }
    let request = request
        .method(method)
        .uri(path)
        .header(header::HOST, "skyshield")
        .header(header::CONTENT_TYPE, kind)
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| said(&error))?;
    let response = sender.send_request(request).await.map_err(|error| said(&error))?;
    let is_success = response.status().is_success();
    let answer =
        Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
    Ok((is_success, answer.to_bytes()))
}

/// Writes the answer to `GET path` to standard output, as it comes.
pub(super) fn stream(socket: &Path, path: &str) -> Result<(), Failure> {
    let unreachable = |what: String| Failure::Unreachable(format!("the daemon does not answer: {what}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| unreachable(error.to_string()))?;
    let far = network::Place::named()?;
    let streamed = runtime.block_on(async {
        match &far {
            Some(far) => far.stream(path).await,
            None => stream_by_socket(socket, path).await,
        }
    });
    match streamed.map_err(unreachable)? {
        None => Ok(()),
        Some(problem) => {
            let answer: Value = serde_json::from_slice(&problem).unwrap_or_default();
            Err(Failure::Refused(answer["detail"].as_str().unwrap_or("the daemon refused").to_owned()))
        }
    }
}

/// None where it was written, or what the daemon said against it.
async fn stream_by_socket(socket: &Path, path: &str) -> Result<Option<Bytes>, String> {
    let said = |error: &dyn std::error::Error| error.to_string();
    let stream = UnixStream::connect(socket).await.map_err(|error| said(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    tokio::spawn(connection);
    let request = Request::get(path).header(header::HOST, "skyshield").body(Full::new(Bytes::new()));
    let response =
        sender.send_request(request.map_err(|error| said(&error))?).await.map_err(|error| said(&error))?;
    let is_success = response.status().is_success();
    let mut body = response.into_body();
    if !is_success {
        let problem = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
        return Ok(Some(problem.to_bytes()));
    }
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(|error| said(&error))?.into_data() {
            super::show::raw(&piece);
        }
    }
    Ok(None)
}

/// `text` as one part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
