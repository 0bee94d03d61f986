//! HTTP/2 with clients: frames are a library's, what they may cost is ours, and each stream is served
//! like a connection that asks once.

mod config;
mod frames;
mod head;
mod meter;
mod metered;
mod metrics;
mod stream;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub(super) use metrics::Metrics;
pub(super) use stream::Stream;

use super::buffer::Buffer;
use super::connection::{Peer, serve_stream};
use super::deadline::Deadline;
use super::listen::{StreamPlace, report};
use super::live::{Live, Shared};
use super::stream::ClientStream;
use crate::clock;
use meter::Excess;
use metered::{Metered, Watch};
use metrics::Refused;

/// What a connection of HTTP/2 begins with (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What ALPN calls it.
pub(super) const PROTOCOL: &[u8] = b"h2";
/// How long a client may take to receive why its connection ends.
const GOODBYE: Duration = Duration::from_secs(1);
/// No deadline: every stream has its own.
const FAR: Duration = Duration::from_hours(7 * 24);
/// What one stream may have waiting to be written, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that were reset and may still be spoken of, at the most.
const RESET_STREAMS: usize = 32;

type Connection = h2::server::Connection<Metered, Bytes>;

/// What a connection comes to next.
enum Event {
    Asked(Box<Request<RecvStream>>, SendResponse<Bytes>),
    Ended(Result<(), JoinError>),
    /// The connection is over.
    Over(Option<h2::Error>),
    /// It sent more than it may.
    TooMuch(Excess),
    /// The library ends it, and waits for the client to have heard why.
    Leaving,
}

/// Until when something has to happen, and what the end of that time means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// What was begun is finished, nothing more is taken.
    Draining,
    /// The end has been said.
    Leaving(Instant),
}

/// Serves streams until either side has had enough, or until `stop`, and then those in progress.
pub(super) async fn serve(
    live: &Arc<Live>,
    shared: Arc<Shared>,
    stream: ClientStream,
    peer: Peer,
    ahead: Buffer,
    stop: &CancellationToken,
) {
    let config = &shared.http2;
    let metrics = &shared.metrics.http2;
    metrics.connections.inc();
    stream.give_up_after(shared.limits.write_stall());
    let (metered, watch) = Metered::new(stream, ahead, config, metrics.clone());
    let mut deadline = Deadline::default();
    let began = clock::now();
    let handshake = builder(&shared).handshake(metered);
    let Some(Ok(connection)) = deadline.within(began + shared.limits.first_byte(), handshake).await else {
        metrics.cut.inc();
        return;
    };
    let idle_by = began + shared.limits.first_byte();
    let streams = JoinSet::new();
    let served = Served { live, shared, peer, connection, watch, streams, phase: Phase::Serving, idle_by };
    served.run(deadline, stop).await;
}

fn builder(shared: &Shared) -> Builder {
    let config = &shared.http2;
    let limits = &shared.limits;
    // A field costs 32 bytes beside its own (RFC 9113, section 6.5.2); what is a little over is refused
    // by the guard, with an answer, and only what is far over by the library.
    let header_list = 2 * (limits.head_bytes + 32 * limits.headers);
    let mut builder = Builder::new();
    builder
        .initial_window_size(config.stream_window_bytes)
        .initial_connection_window_size(config.connection_window_bytes)
        .max_concurrent_streams(config.streams)
        .max_header_list_size(u32::try_from(header_list).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(Some(config.resets as usize));
    builder
}

struct Served<'a> {
    live: &'a Arc<Live>,
    /// What the last request was served by.
    shared: Arc<Shared>,
    peer: Peer,
    connection: Connection,
    watch: Watch,
    streams: JoinSet<()>,
    phase: Phase,
    /// Until when a stream has to be opened while there is none.
    idle_by: Instant,
}

impl Served<'_> {
    async fn run(mut self, mut deadline: Deadline, stop: &CancellationToken) {
        let metrics = self.shared.metrics.http2.clone();
        let mut stopped = pin!(stop.cancelled());
        loop {
            let until = match self.phase {
                Phase::Leaving(until) => until,
                Phase::Serving | Phase::Draining if self.streams.is_empty() => self.idle_by,
                Phase::Serving | Phase::Draining => clock::now() + FAR,
            };
            let phase = self.phase;
            let event = tokio::select! {
                biased;
                event = deadline.within(until, self.next()) => event,
                () = &mut stopped, if phase == Phase::Serving => {
                    self.connection.graceful_shutdown();
                    self.phase = Phase::Draining;
                    self.idle_by = clock::now() + GOODBYE;
                    continue;
                }
            };
            match event {
                None if matches!(phase, Phase::Leaving(_)) => return,
                None => self.leave(Reason::NO_ERROR),
                Some(Event::Asked(request, respond)) => self.take(*request, respond),
                Some(Event::Ended(ended)) => {
                    report(ended);
                    let patience = if phase == Phase::Serving { self.shared.limits.idle() } else { GOODBYE };
                    self.idle_by = clock::now() + patience;
                }
                Some(Event::TooMuch(excess)) => {
                    metrics.exceeded(excess);
                    tracing::debug!(peer = %self.peer.address, what = excess.name(), "a connection was closed");
                    self.streams.abort_all();
                    self.leave(Reason::ENHANCE_YOUR_CALM);
                }
                Some(Event::Leaving) => self.phase = Phase::Leaving(clock::now() + GOODBYE),
                Some(Event::Over(error)) => {
                    if let Some(error) = error {
                        metrics.failed(&error);
                        tracing::debug!(peer = %self.peer.address, %error, "a connection broke off");
                    }
                    return;
                }
            }
        }
    }

    fn leave(&mut self, reason: Reason) {
        self.connection.abrupt_shutdown(reason);
        self.phase = Phase::Leaving(clock::now() + GOODBYE);
    }

    async fn next(&mut self) -> Event {
        let leaving = matches!(self.phase, Phase::Leaving(_));
        poll_fn(|cx| {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    return Poll::Ready(Event::Asked(Box::new(request), respond));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Event::Over(Some(error))),
                Poll::Ready(None) => return Poll::Ready(Event::Over(None)),
                Poll::Pending => {}
            }
            if !leaving {
                if let Some(excess) = self.watch.excess() {
                    return Poll::Ready(Event::TooMuch(excess));
                }
                if self.watch.is_leaving() {
                    return Poll::Ready(Event::Leaving);
                }
            }
            match self.streams.poll_join_next(cx) {
                Poll::Ready(Some(ended)) => Poll::Ready(Event::Ended(ended)),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Has a stream of its own served, if there is room for one more.
    fn take(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let now = self.live.load();
        if !Arc::ptr_eq(&now, &self.shared) {
            self.shared = Arc::clone(&now);
            self.peer.renew(&self.shared);
        }
        let metrics = &self.shared.metrics.http2;
        // Those that were reset count for as long as they are worked on.
        let many = self.streams.len() >= 2 * self.shared.http2.streams as usize;
        let place = StreamPlace::taken(self.live, &self.shared, &self.peer).filter(|_| !many);
        let Some(place) = place else {
            metrics.refused(if many { Refused::Connection } else { Refused::Source });
            return respond.send_reset(Reason::REFUSED_STREAM);
        };
        let (live, shared, peer) = (Arc::clone(self.live), Arc::clone(&self.shared), self.peer.clone());
        self.streams.spawn(async move {
            let (head, body) = request.into_parts();
            let ends = body.is_end_stream();
            let head = head::as_text(&head);
            let bodiless = head.as_ref().is_ok_and(|text| text.starts_with(b"HEAD "));
            let stream = ClientStream::Http2(Box::new(Stream::new(body, respond, bodiless)));
            serve_stream(&live, shared, stream, peer, head, ends).await;
            drop(place);
        });
    }
}
