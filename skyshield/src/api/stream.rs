//! `GET /api/v1/stream`: what happens, as it happens, by server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use utoipa::IntoParams;

use super::listen::Connection;
use super::live::{Live, Reading, Told};
use super::problem::Problem;

/// A stream on which nothing happens says so this often, so that both ends know that the other lives.
const BREATH: Duration = Duration::from_secs(15);

/// Readers at once; one more is asked to come later.
const MAX_READERS: usize = 1500;

/// The places for readers.
#[derive(Clone, Debug)]
pub(super) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_READERS)))
    }
}

impl Streams {
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamQuery {
    /// Go on after the event with this id, as `Last-Event-ID` does; from now on where neither is there.
    since: Option<u64>,
}

/// What happens, as it happens: `incident`, `decision` (made, or lasts longer), `ended`, and `alert` (firing, or resolved), each with an id. A reader
/// that comes back with `Last-Event-ID` gets what it missed; one that missed too much is told by 410, and one that falls
/// behind while it reads by an event `dropped` before the end.
#[utoipa::path(
    get,
    path = "/api/v1/stream",
    tag = "events",
    params(StreamQuery, ("Last-Event-ID" = Option<u64>, Header, description = "The id of the last event that was seen")),
    responses(
        (status = 200, description = "Events without end", body = str, content_type = "text/event-stream"),
        (status = 410, description = "Too much was missed: look at the lists, and begin without an id")
    )
)]
pub(super) async fn follow(
    State(live): State<Live>,
    State(streams): State<Streams>,
    connection: Option<Extension<Connection>>,
    headers: HeaderMap,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let seen = match (last_seen(&headers)?, query.since) {
        (Some(seen), _) | (None, Some(seen)) => seen,
        (None, None) => live.newest(),
    };
    live.after(seen).map_err(|behind| {
        let what = format!("events up to {} are not kept any more; begin without an id", behind.oldest);
        Problem::new(StatusCode::GONE, what)
    })?;
    let Some(place) = streams.place() else {
        live.count_dropped("too_many");
        let what = "too many follow already; come again later";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, what));
    };
    let connection = connection.map(|Extension(connection)| connection);
    let reader =
        Reader { reading: live.reader(), told: live.told(), live, seen, is_over: false, connection, place };
    let body = stream::unfold(reader, async |mut reader| {
        let piece = reader.next().await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, Body::from_stream(body)).into_response())
}

fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(said) = headers.get("last-event-id") else { return Ok(None) };
    let number = said.to_str().ok().and_then(|said| said.trim().parse().ok());
    number.map(Some).ok_or_else(|| Problem::bad_request("Last-Event-ID: the id of an event, a number"))
}

/// Somebody who follows.
struct Reader {
    live: Live,
    told: watch::Receiver<Told>,
    seen: u64,
    is_over: bool,
    /// Until something was asked for.
    connection: Option<Connection>,
    #[expect(dead_code, reason = "it counts as long as it is held")]
    reading: Reading,
    #[expect(dead_code, reason = "the place is taken as long as it is held")]
    place: OwnedSemaphorePermit,
}

impl Reader {
    /// What is to be sent next; none is the end.
    async fn next(&mut self) -> Option<Bytes> {
        // From here on there is no end; and the head of the answer goes out with this look, before that.
        if let Some(connection) = self.connection.take() {
            connection.background.go();
        }
        loop {
            if self.is_over {
                return None;
            }
            let has_all = match &*self.told.borrow_and_update() {
                Told::End => return None,
                Told::Events(frame) if (frame.before..frame.last).contains(&self.seen) => {
                    let text = frame.after(self.seen);
                    self.seen = frame.last;
                    return Some(text);
                }
                Told::Events(frame) => frame.last == self.seen,
                Told::Nothing => false,
            };
            let behind = if has_all { Ok(None) } else { self.live.after(self.seen) };
            match behind {
                Ok(None) => match tokio::time::timeout(BREATH, self.told.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_ended)) => return None,
                    Err(_) => return Some(Bytes::from_static(b": still here\n\n")),
                },
                Ok(Some(frame)) => {
                    let text = frame.after(self.seen);
                    self.seen = frame.last;
                    return Some(text);
                }
                Err(behind) => {
                    self.live.count_dropped("slow");
                    self.is_over = true;
                    let told = format!(
                        "event: dropped\ndata: {{\"seen\":{},\"kept_after\":{}}}\n\n",
                        self.seen, behind.oldest
                    );
                    return Some(told.into());
                }
            }
        }
    }
}
