//! One client connection, from its first byte to its last.

mod arrival;
mod farewell;
mod one_stream;

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::account::Account;
use super::body::{Held, Rest, Share, hold};
use super::buffer::Buffer;
use super::config::BodyOverLimit;
use super::deadline::Deadline;
use super::field::Kind;
use super::forward::{Body, Exchange, Outcome};
use super::framing::Framing;
use super::guard::Cause;
use super::head::{Head, Scan, early_problem, scan};
use super::http2;
use super::live::{Live, Shared};
use super::metrics::NO_CLASS;
use super::request_head::Origin;
use super::response_head::Asked;
use super::stream::ClientStream;
use super::write::write_all;
use crate::clock;
use crate::engine::incident::{Client, Door};
use crate::inspect::{Header, OverLimit, Request};
use crate::limits::Quota;
use crate::telemetry::Served;
use crate::verdict::Verdict;
use arrival::{Arrived, FIRST_READ, Speaks, arrive};

pub(super) use arrival::Peer;
pub(super) use one_stream::serve_stream;

struct Connection<'a> {
    live: &'a Live,
    /// What the request in progress is served by.
    shared: Arc<Shared>,
    stream: ClientStream,
    peer: Peer,
    input: Buffer,
    request: Vec<u8>,
    reply: Vec<u8>,
    head: Head,
    deadline: Deadline,
    /// When the last bytes were read.
    read_at: Instant,
    measured: Measured,
}

/// What a request in progress is measured as, as far as it is known.
#[derive(Debug, Default)]
struct Measured {
    site: Option<usize>,
    class: Option<Arc<str>>,
}

/// What is to be done with the connection next.
enum Next {
    /// Read another request.
    Request,
    /// Close it: nothing more is to be said.
    Close,
    /// Close it, so that the client receives what was said.
    Goodbye,
}

/// Serves requests on `socket` until either side has had enough, or until `stop` between two of them.
pub(super) async fn serve(
    live: &Arc<Live>,
    socket: TcpStream,
    from: IpAddr,
    is_secure: bool,
    stop: &CancellationToken,
) {
    let shared = Arc::clone(&live.load());
    let tls = live.tls.load_full().filter(|_| is_secure);
    let arrival = live
        .unless_stopped(pin!(stop.cancelled()), arrive(&shared, socket, from, tls.as_deref()))
        .await
        .flatten();
    let Some(Arrived { stream, peer, input, deadline, read_at, speaks }) = arrival else { return };
    if speaks == Speaks::Http2 {
        return http2::serve(live, shared, stream, peer, input, stop).await;
    }
    let connection = Connection::new(live, shared, stream, peer, input);
    let mut connection = Connection { deadline, read_at, ..connection };
    if speaks == Speaks::InTheClear {
        connection.head.reset();
        connection.turn_away(Cause::Cleartext).await;
        return connection.say_goodbye().await;
    }
    let mut wait = connection.shared.limits.first_byte();
    let mut stopped = pin!(stop.cancelled());
    loop {
        let next = match connection.read_head(wait, stopped.as_mut()).await {
            Ok(Some(())) => connection.handle().await,
            Ok(None) => return connection.take_leave().await,
            Err(cause) => connection.turn_away(cause).await,
        };
        match next {
            Next::Request => wait = connection.shared.limits.idle(),
            Next::Close => return,
            Next::Goodbye => return connection.say_goodbye().await,
        }
    }
}

impl<'a> Connection<'a> {
    fn new(live: &'a Live, shared: Arc<Shared>, stream: ClientStream, peer: Peer, input: Buffer) -> Self {
        Self {
            live,
            shared,
            stream,
            peer,
            input,
            request: Vec::new(),
            reply: Vec::new(),
            head: Head::default(),
            deadline: Deadline::default(),
            read_at: clock::now(),
            measured: Measured::default(),
        }
    }
}

impl Connection<'_> {
    /// Reads and parses a request's head; nothing where the client has no further request.
    async fn read_head(
        &mut self,
        wait: Duration,
        stopped: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Result<Option<()>, Cause> {
        self.head.reset();
        self.measured = Measured::default();
        if self.input.is_empty() {
            self.input.shrink();
            self.input.reserve(FIRST_READ);
            let fill = self.deadline.within(self.read_at + wait, self.input.fill(&mut self.stream));
            let filled = self.live.unless_stopped(stopped, fill).await.flatten();
            let Some(Ok(count @ 1..)) = filled else { return Ok(None) };
            self.received(count);
        }
        self.renew();
        let until = self.read_at + self.shared.limits.head();
        let mut scanned = 0;
        let mut judged_early = false;
        let mut skipped = false;
        loop {
            // Some clients end a body with a CRLF that belongs to nothing.
            if !skipped && self.input.filled().starts_with(b"\r\n") {
                self.input.consume(2);
                skipped = true;
                continue;
            }
            if let Scan::Complete(len) = scan(self.input.filled(), scanned)? {
                let limits = &self.shared.limits;
                if len > limits.head_bytes {
                    return Err(Cause::HeadTooLarge);
                }
                let bytes = self.input.filled_mut().get_mut(..len).unwrap_or_default();
                return self.head.parse(bytes, limits.headers).map(Some);
            }
            // The first byte of a CRLF that may be skipped says nothing yet.
            scanned = if self.input.len() > 1 { self.input.len() } else { 0 };
            if !judged_early && memchr::memchr(b'\n', self.input.filled()).is_some() {
                judged_early = true;
                early_problem(self.input.filled()).map_or(Ok(()), Err)?;
            }
            if scanned >= self.shared.limits.head_bytes {
                return Err(if judged_early { Cause::HeadTooLarge } else { Cause::TargetTooLong });
            }
            self.input.reserve(1);
            match self.deadline.within(until, self.input.fill(&mut self.stream)).await {
                None => return Err(Cause::TooSlow),
                Some(Ok(0)) if scanned == 0 => return Ok(None),
                Some(Ok(0) | Err(_)) => return Err(Cause::Cut),
                Some(Ok(count)) => self.received(count),
            }
        }
    }

    /// Takes up what a request that begins now is served by.
    fn renew(&mut self) {
        let now = self.live.load();
        if !Arc::ptr_eq(&now, &self.shared) {
            self.shared = Arc::clone(&now);
            self.peer.renew(&self.shared);
        }
    }

    fn received(&mut self, count: usize) {
        self.read_at = clock::now();
        self.shared.metrics.bytes_in.inc_by(count as u64);
    }

    fn client(&self) -> Client {
        if !self.peer.trusted {
            return Client { address: self.peer.address, by_proxy: self.peer.spoken_for };
        }
        let bytes = self.input.filled();
        let lines = self.head.fields.iter().filter(|field| field.kind == Kind::ForwardedFor);
        self.shared.trusted.client_behind(self.peer.address, lines.map(|field| field.value.at(bytes)))
    }

    /// Answers the request whose head is at the front of the input.
    async fn handle(&mut self) -> Next {
        let client = self.client();
        if let Some(refusal) = self.shared.judge.ban_of(client.address, Door::Gateway, self.read_at) {
            return self.refuse(refusal).await;
        }
        let shared = Arc::clone(&self.shared);
        let host = self.head.host.map(|host| host.at(self.input.filled()));
        let site = match shared.sites.of(host) {
            Ok(site) => site,
            Err(cause) => return self.turn_away(cause).await,
        };
        self.measured.site = Some(site.at);
        let mut share = Share::none_of(&shared.budget);
        let body = match self.hold_body(&mut share).await {
            Ok(body) => body,
            Err(cause) => return self.turn_away(cause).await,
        };
        if self.is_report(site) {
            return self.take_report(body).await;
        }
        let complete_at = self.read_at;
        let verdict = self.judge(client, body.held, complete_at);
        let mut permit = match verdict {
            Verdict::Pass(permit) => permit,
            Verdict::Limit(limited) => {
                self.measured.class = Some(limited.quota.name());
                return self.limit(&limited, body).await;
            }
            Verdict::Refuse(refusal) => return self.refuse(refusal).await,
        };
        shared.metrics.passed.inc();
        let (quota, trail) = (permit.take_quota(), permit.take_trail());
        self.measured.class = quota.as_ref().map(Quota::name);
        // Counted as in progress until the answer is out.
        let _stay = permit.take_stay();
        let account = Account::of(&shared, &site.metrics, client.address, self.head.len + body.held);
        let risk = shared.risk_to_client.then(|| permit.score().value());
        let switching = self.head.opens_websocket
            && shared.websocket_paths.match_target(self.head.target.at(self.input.filled()));
        let held_up = shared
            .timing_to
            .contain(client.address)
            .then(|| clock::now().saturating_duration_since(complete_at));
        let asked = Asked {
            switching,
            bodiless: self.head.bodiless,
            minor: self.head.minor,
            keep_alive: self.head.keep_alive && !self.live.is_stopped(),
            risk,
            held_up,
            quota: quota.as_ref(),
            security: &site.security,
        };
        let origin = Origin { peer: &self.peer, client, switching };
        let exchange = Exchange {
            shared: &shared,
            site,
            account: &account,
            client: &mut self.stream,
            input: &mut self.input,
            request: &mut self.request,
            reply: &mut self.reply,
            deadline: &mut self.deadline,
        };
        let outcome = exchange.forward(permit, &self.head, body, origin, asked).await;
        if let Outcome::Answered { status, .. } = outcome {
            shared.judge.answered(trail, status);
        }
        self.conclude(outcome, complete_at).await
    }

    async fn conclude(&mut self, outcome: Outcome, complete_at: Instant) -> Next {
        let metrics = &self.shared.metrics;
        match outcome {
            Outcome::Answered { status, keep_alive } => {
                let now = clock::now();
                self.took(status, now.saturating_duration_since(complete_at));
                self.read_at = now;
                if keep_alive { Next::Request } else { Next::Goodbye }
            }
            Outcome::Failed(failure) => self.upstream_failed(failure).await,
            Outcome::Invalid(cause) => self.turn_away(cause).await,
            Outcome::Broken(failure) => {
                if let Some(failure) = failure {
                    metrics.upstream_failed(failure);
                    tracing::debug!(kind = failure.name(), "a response broke off");
                }
                Next::Close
            }
        }
    }

    /// Measures the request in progress, answered with `status` after `time`.
    fn took(&self, status: u16, time: Duration) {
        let Measured { site, class } = &self.measured;
        let site = site.and_then(|at| self.shared.sites.at(at));
        let metrics = site.map_or(&self.shared.metrics.nowhere, |site| &site.metrics);
        metrics.took(class.as_deref(), status, time);
        let class = class.as_deref().unwrap_or(NO_CLASS);
        let served = Served { site: metrics.name(), class, status, took: time };
        self.shared.metrics.requests.served(served, || self.forwarded_line());
    }

    /// The method and the target that were forwarded last.
    fn forwarded_line(&self) -> (&[u8], &[u8]) {
        let line = self.request.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let mut words = line.split(|&byte| byte == b' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// Reads the body as far as it is inspected.
    async fn hold_body(&mut self, share: &mut Share<'_>) -> Result<Body, Cause> {
        let mut rest = Rest::of(self.head.framing);
        if rest.is_done() {
            return Ok(Body { held: 0, rest, until: None });
        }
        let limits = &self.shared.limits;
        let (policy, until) = (self.body_over_limit(), clock::now() + limits.body());
        if let Framing::Length(length) = self.head.framing
            && length > limits.inspected_body_bytes as u64
            && policy == BodyOverLimit::Refuse
        {
            return Err(Cause::BodyTooLarge);
        }
        if self.head.expects_continue && self.input.len() == self.head.len {
            let go_on: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
            let stall = limits.write_stall();
            let written = write_all(&mut self.stream, [go_on, b"", b""], &mut self.deadline, stall).await;
            written.map_err(|_| Cause::Cut)?;
        }
        let Held { held, received } = hold(
            &mut self.stream,
            &mut self.input,
            self.head.len,
            &mut rest,
            share,
            (limits, policy, until),
            &mut self.deadline,
        )
        .await?;
        if received > 0 {
            self.received(received);
        }
        if !rest.is_done() {
            self.shared.metrics.bodies_passed.inc();
        }
        Ok(Body { held, rest, until: Some(until) })
    }

    /// What happens to more of a body than is inspected: it passes where the gateway says so, or the route.
    fn body_over_limit(&self) -> BodyOverLimit {
        let bytes = self.input.filled();
        let host = self.head.host.map(|host| host.at(bytes)).unwrap_or_default();
        let (method, target) = (self.head.method.at(bytes), self.head.target.at(bytes));
        match self.shared.judge.over_limit(host, method, target) {
            OverLimit::PassAndCount => BodyOverLimit::PassAndCount,
            OverLimit::Refuse => self.shared.body_over_limit,
        }
    }

    fn judge(&self, client: Client, body_len: usize, complete_at: Instant) -> Verdict {
        let bytes = self.input.filled();
        let head = &self.head;
        let lines = head.fields.iter();
        let headers: Vec<Header<'_>> =
            lines.map(|field| Header { name: field.name.at(bytes), value: field.value.at(bytes) }).collect();
        let request = Request {
            method: head.method.at(bytes),
            target: head.target.at(bytes),
            headers: &headers,
            body: bytes.get(head.len..head.len + body_len).unwrap_or_default(),
        };
        // Behind a proxy the handshake is the proxy's.
        let ja4 = self.peer.ja4.as_deref().filter(|_| !client.by_proxy);
        self.shared.judge.judge_by(client, Door::Gateway, &request, ja4, complete_at)
    }
}
