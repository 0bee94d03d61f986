//! Forwarding: a request to the upstream and its response back, both streamed.

use std::io::{self, Write};
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Shared;
use super::body::{Pace, Rest, read_more};
use super::buffer::Buffer;
use super::deadline::Deadline;
use super::framing::Framing;
use super::guard::Cause;
use super::head::{Head, Scan, scan};
use super::request_head::{self, Origin};
use super::response_head::{Asked, BodyEnd, Response, translate};
use super::upstream::{Connection, Failure};
use super::write::write_all;
use crate::clock;
use crate::verdict::Permit;

/// Up to here, copying a body next to its head is cheaper than having the kernel gather them.
const COPIED: usize = 8 * 1024;
/// A body up to here is sent before the response is looked for; beyond it, both flow at a time.
const SENT_AT_ONCE: usize = 64 * 1024;
/// Room for one read of a large body, in bytes.
const LARGE_READ: usize = 64 * 1024;
/// Interim responses before the final one at the most.
const MAX_INTERIM: u32 = 8;
/// No deadline, as long as the other direction has one.
const FAR: Duration = Duration::from_hours(7 * 24);

/// The client's side of an exchange, and what both sides are written from.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Shared,
    pub(super) client: &'a mut TcpStream,
    pub(super) input: &'a mut Buffer,
    pub(super) request: &'a mut Vec<u8>,
    pub(super) reply: &'a mut Vec<u8>,
    pub(super) deadline: &'a mut Deadline,
}

/// How much of a request's body is held behind its head, and what is still to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    pub(super) held: usize,
    pub(super) rest: Rest,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// The client has the whole response.
    Answered { status: u16, keep_alive: bool },
    /// The upstream failed before the client was sent anything.
    Failed(Failure),
    /// The client failed to send its body before it was sent anything.
    Invalid(Cause),
    /// The response broke off: the client learns it from the end of the connection.
    Broken(Option<Failure>),
}

impl Exchange<'_> {
    /// Forwards the request that `permit` is for: `head`, at the front of the input, and its body.
    pub(super) async fn forward(
        mut self,
        permit: Permit,
        head: &Head,
        body: Body,
        origin: Origin<'_>,
        asked: Asked<'_>,
    ) -> Outcome {
        let framing = match (head.framing, body.rest) {
            (Framing::None, _) => Framing::None,
            (Framing::Length(length), _) => Framing::Length(length),
            (Framing::Chunked, Rest::Done) => Framing::Length(body.held as u64),
            (Framing::Chunked, _) => Framing::Chunked,
        };
        self.request.clear();
        self.reply.clear();
        let bytes = self.input.filled();
        request_head::write(permit, head, bytes, origin, framing, &self.shared.upstream.host, self.request);
        if !body.rest.is_done() || body.held > SENT_AT_ONCE {
            return self.stream_both(head, body, framing, asked).await;
        }
        let content = bytes.get(head.len..head.len + body.held).unwrap_or_default();
        let copied = content.len() <= COPIED;
        if copied {
            self.request.extend_from_slice(content);
        }
        let outcome = self.send_then_receive(head, if copied { 0 } else { body.held }, asked).await;
        self.input.consume(head.len + body.held);
        outcome
    }

    async fn send_then_receive(&mut self, head: &Head, apart: usize, asked: Asked<'_>) -> Outcome {
        let upstream = &self.shared.upstream;
        let now = clock::now();
        let mut connection = match upstream.kept(now, !head.is_idempotent) {
            Some(kept) => kept,
            None => match upstream.connect(self.deadline).await {
                Ok(new) => new,
                Err(failure) => return Outcome::Failed(failure),
            },
        };
        loop {
            match self.ask(&mut connection, head, apart, asked).await {
                Ok(response) => return self.relay_and_keep(connection, response).await,
                // The upstream closed a kept connection as we wrote to it: nothing was answered, and
                // asking again does no harm.
                Err(Failure::Cut)
                    if connection.reused && connection.buffer.is_empty() && head.is_idempotent =>
                {
                    self.shared.metrics.retries.inc();
                    connection = match upstream.connect(self.deadline).await {
                        Ok(new) => new,
                        Err(failure) => return Outcome::Failed(failure),
                    };
                }
                Err(failure) => return Outcome::Failed(failure),
            }
        }
    }

    async fn ask(
        &mut self,
        connection: &mut Connection,
        head: &Head,
        apart: usize,
        asked: Asked<'_>,
    ) -> Result<Response, Failure> {
        let limits = &self.shared.limits;
        let body = self.input.filled().get(head.len..head.len + apart).unwrap_or_default();
        let pieces = [self.request.as_slice(), body, b""];
        let Connection { stream, buffer, .. } = connection;
        write_all(stream, pieces, self.deadline, limits.upstream_head())
            .await
            .map_err(|error| sending_failed(&error))?;
        let until = clock::now() + limits.upstream_head();
        let max = limits.upstream_head_bytes;
        receive_head(stream, buffer, max, asked, self.reply, self.deadline, until).await
    }

    async fn relay_and_keep(&mut self, mut connection: Connection, response: Response) -> Outcome {
        let Response::Final { status, body, rechunk, reuse, keep_alive, doubtful } = response else {
            return Outcome::Failed(Failure::Malformed);
        };
        let Connection { stream, buffer, .. } = &mut connection;
        let relayed =
            relay(self.shared, stream, buffer, self.client, self.reply, (body, rechunk), self.deadline).await;
        if let Err(broken) = relayed {
            return Outcome::Broken(broken);
        }
        if reuse && connection.buffer.is_empty() {
            connection.doubtful = doubtful;
            self.shared.upstream.keep(connection, clock::now());
        }
        Outcome::Answered { status, keep_alive }
    }

    /// Streams the rest of the body to the upstream while its response may already be coming back.
    ///
    /// On a connection of its own, not kept afterwards: what has been streamed cannot be sent again.
    async fn stream_both(&mut self, head: &Head, body: Body, framing: Framing, asked: Asked<'_>) -> Outcome {
        let Self { shared, client, input, request, reply, deadline } = self;
        let shared: &Shared = shared;
        let mut connection = match shared.upstream.connect(deadline).await {
            Ok(new) => new,
            Err(failure) => return Outcome::Failed(failure),
        };
        let Connection { stream, buffer, .. } = &mut connection;
        let (mut from_upstream, mut to_upstream) = stream.split();
        let (mut from_client, mut to_client) = client.split();
        let mut sending_deadline = Deadline::default();
        let sending = pump(
            shared,
            &mut from_client,
            input,
            &mut to_upstream,
            request,
            (head.len, body),
            framing == Framing::Chunked,
            &mut sending_deadline,
        );
        let mut sending = pin!(sending);
        let mut sent = None;
        let max = shared.limits.upstream_head_bytes;
        let response = tokio::select! {
            biased;
            early = receive_head(&mut from_upstream, buffer, max, asked, reply, deadline, clock::now() + FAR) => early,
            done = &mut sending => {
                sent = Some(done);
                match done {
                    Err(Unsent::Client(cause)) => return Outcome::Invalid(cause),
                    // An upstream that stops reading may still have said why.
                    Ok(()) | Err(Unsent::Upstream) => {
                        let until = clock::now() + shared.limits.upstream_head();
                        receive_head(&mut from_upstream, buffer, max, asked, reply, deadline, until).await
                    }
                }
            }
        };
        let (status, body, rechunk, keep_alive) = match response {
            Ok(Response::Final { status, body, rechunk, keep_alive, .. }) => {
                (status, body, rechunk, keep_alive)
            }
            Ok(Response::Interim) => return Outcome::Failed(Failure::Malformed),
            Err(failure) => return Outcome::Failed(failure),
        };
        let relayed = {
            let relay =
                relay(shared, &mut from_upstream, buffer, &mut to_client, reply, (body, rechunk), deadline);
            let mut relay = pin!(relay);
            loop {
                tokio::select! {
                    biased;
                    relayed = &mut relay => break relayed,
                    done = &mut sending, if sent.is_none() => {
                        sent = Some(done);
                        if matches!(done, Err(Unsent::Client(_))) {
                            break Err(None);
                        }
                    }
                }
            }
        };
        if let Err(broken) = relayed {
            return Outcome::Broken(broken);
        }
        let whole = matches!(sent, Some(Ok(())));
        // A body that was not read to its end leaves no place for another request behind it.
        Outcome::Answered { status, keep_alive: keep_alive && whole }
    }
}

fn sending_failed(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::TimedOut { Failure::Late } else { Failure::Cut }
}

/// Reads up to the head of the final response and puts the client's into `reply`.
async fn receive_head<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut Buffer,
    max_bytes: usize,
    asked: Asked<'_>,
    reply: &mut Vec<u8>,
    deadline: &mut Deadline,
    until: Instant,
) -> Result<Response, Failure> {
    let mut interim = 0;
    let mut scanned = 0;
    loop {
        match scan(buffer.filled(), scanned).map_err(|_| Failure::Malformed)? {
            Scan::Complete(len) => {
                reply.clear();
                let response = translate(buffer.filled().get(..len).unwrap_or_default(), asked, reply)?;
                buffer.consume(len);
                if response != Response::Interim {
                    return Ok(response);
                }
                interim += 1;
                scanned = 0;
                if interim > MAX_INTERIM {
                    return Err(Failure::Malformed);
                }
            }
            Scan::Partial => {
                scanned = buffer.len();
                if scanned >= max_bytes {
                    return Err(Failure::Malformed);
                }
                buffer.reserve(1);
                match deadline.within(until, buffer.fill(reader)).await {
                    None => return Err(Failure::Late),
                    Some(Ok(0) | Err(_)) => return Err(Failure::Cut),
                    Some(Ok(_)) => {}
                }
            }
        }
    }
}

/// Sends what is in `reply` and then the body, each read at once as it comes.
///
/// Where it breaks, whose fault it was: the upstream's, or, with nothing, the client's.
async fn relay<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    shared: &Shared,
    reader: &mut R,
    buffer: &mut Buffer,
    client: &mut W,
    reply: &mut Vec<u8>,
    (body, rechunk): (BodyEnd, bool),
    deadline: &mut Deadline,
) -> Result<(), Option<Failure>> {
    let mut rest = match body {
        BodyEnd::Length(length) => Some(Rest::of(Framing::Length(length))),
        BodyEnd::Chunked => Some(Rest::of(Framing::Chunked)),
        BodyEnd::Close => None,
    };
    let mut ended = false;
    loop {
        let data = match &mut rest {
            Some(rest) => rest.take(buffer, 0).map_err(|_| Some(Failure::Malformed))?,
            None => buffer.len(),
        };
        ended = ended || rest.is_some_and(|rest| rest.is_done());
        send_piece(shared, client, buffer, reply, data, (rechunk, ended), deadline)
            .await
            .map_err(|_| None)?;
        if ended {
            return Ok(());
        }
        let until = clock::now() + shared.limits.upstream_body_idle();
        let room = buffer.capacity();
        match deadline.within(until, buffer.fill(reader)).await {
            None => return Err(Some(Failure::Stalled)),
            Some(Ok(0)) if rest.is_none() => ended = true,
            Some(Ok(0) | Err(_)) => return Err(Some(Failure::Cut)),
            Some(Ok(count)) if count == room => buffer.reserve(LARGE_READ),
            Some(Ok(_)) => {}
        }
    }
}

async fn send_piece<W: AsyncWrite + Unpin>(
    shared: &Shared,
    client: &mut W,
    buffer: &mut Buffer,
    reply: &mut Vec<u8>,
    data: usize,
    (rechunk, ended): (bool, bool),
    deadline: &mut Deadline,
) -> io::Result<()> {
    let tail: &[u8] = match (rechunk, data, ended) {
        (false, _, _) | (true, 0, false) => b"",
        (true, 0, true) => b"0\r\n\r\n",
        (true, _, true) => b"\r\n0\r\n\r\n",
        (true, _, false) => b"\r\n",
    };
    if rechunk && data > 0 {
        // Writing to memory does not fail.
        let _infallible = write!(reply, "{data:x}\r\n");
    }
    let bytes = buffer.filled().get(..data).unwrap_or_default();
    shared.metrics.bytes_out.inc_by((reply.len() + data + tail.len()) as u64);
    let stall = shared.limits.write_stall();
    if data <= COPIED {
        reply.extend_from_slice(bytes);
        reply.extend_from_slice(tail);
        write_all(client, [reply, b"", b""], deadline, stall).await?;
    } else {
        write_all(client, [reply, bytes, tail], deadline, stall).await?;
    }
    reply.clear();
    buffer.consume(data);
    Ok(())
}

/// Why a body did not reach the upstream whole.
#[derive(Clone, Copy, Debug)]
enum Unsent {
    Client(Cause),
    Upstream,
}

/// Sends the request's head, what is held of its body and then the rest as it comes.
#[expect(
    clippy::too_many_arguments,
    reason = "two streams, two buffers and how to get from one to the other"
)]
async fn pump<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    shared: &Shared,
    client: &mut R,
    input: &mut Buffer,
    upstream: &mut W,
    request: &mut Vec<u8>,
    (head_len, mut body): (usize, Body),
    chunked: bool,
    deadline: &mut Deadline,
) -> Result<(), Unsent> {
    let stall = shared.limits.upstream_head();
    input.consume(head_len);
    let mut pace = Pace::new(&shared.limits, clock::now());
    let mut data = body.held;
    loop {
        let ended = body.rest.is_done();
        let tail: &[u8] = match (chunked, data, ended) {
            (false, _, _) | (true, 0, false) => b"",
            (true, 0, true) => b"0\r\n\r\n",
            (true, _, true) => b"\r\n0\r\n\r\n",
            (true, _, false) => b"\r\n",
        };
        if chunked && data > 0 {
            let _infallible = write!(request, "{data:x}\r\n");
        }
        let bytes = input.filled().get(..data).unwrap_or_default();
        write_all(upstream, [request, bytes, tail], deadline, stall).await.map_err(|_| Unsent::Upstream)?;
        request.clear();
        input.consume(data);
        if ended {
            return Ok(());
        }
        if input.is_empty() {
            input.reserve(LARGE_READ);
        }
        let count =
            read_more(client, input, usize::MAX, &mut pace, deadline).await.map_err(Unsent::Client)?;
        shared.metrics.bytes_in.inc_by(count as u64);
        data = body.rest.take(input, 0).map_err(Unsent::Client)?;
    }
}
