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

use super::Failure;

/// The daemon answers within this long, or it does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer is no longer than this.
const MAX_ANSWER: usize = 64 << 20;

/// The answer to `method path` with `body`, or what the daemon said against it.
pub(super) fn ask(socket: &Path, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let unreachable = |what: String| {
        Failure::Unreachable(format!(
            "the daemon does not answer on {}: {what}; is it running (`skyshield run`), and are you root?",
            socket.display()
        ))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| unreachable(error.to_string()))?;
    let exchange = async {
        tokio::time::timeout(PATIENCE, exchange(socket, method, path, body))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
    };
    let (is_success, answer) = runtime.block_on(exchange).map_err(unreachable)?;
    if is_success {
        return Ok(answer);
    }
    let detail = answer.get("detail").and_then(Value::as_str).unwrap_or("the daemon refused");
    Err(Failure::Refused(detail.to_owned()))
}

async fn exchange(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(bool, Value), String> {
    let said = |error: &dyn std::error::Error| error.to_string();
    let stream = UnixStream::connect(socket).await.map_err(|error| said(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    tokio::spawn(connection);
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "skyshield")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| said(&error))?;
    let response = sender.send_request(request).await.map_err(|error| said(&error))?;
    let is_success = response.status().is_success();
    let answer =
        Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
    let answer = serde_json::from_slice(&answer.to_bytes()).map_err(|error| said(&error))?;
    Ok((is_success, answer))
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
