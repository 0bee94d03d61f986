//! Forwarding: a request to the upstream and its response back, both streamed.

use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::Shared;
use super::account::Account;
use super::body::Rest;
use super::buffer::Buffer;
use super::deadline::Deadline;
use super::framing::Framing;
use super::guard::Cause;
use super::head::Head;
use super::pump::{Unsent, pump};
use super::relay::{COPIED, receive_head, relay};
use super::request_head::{self, Origin};
use super::response_head::{Asked, Response};
use super::sites::Site;
use super::stream::ClientStream;
use super::tunnel;
use super::upstream::{Connection, Failure, Lease, Place};
use super::write::write_all;
use crate::clock;
use crate::verdict::Permit;

/// A body up to here is sent before the response is looked for; beyond it, both flow at a time.
const SENT_AT_ONCE: usize = 64 * 1024;
/// No deadline, as long as the other direction has one.
const FAR: Duration = Duration::from_hours(7 * 24);

/// The client's side of an exchange, and what both sides are written from.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Shared,
    pub(super) site: &'a Site,
    pub(super) account: &'a Account<'a>,
    pub(super) client: &'a mut ClientStream,
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
    /// When its last byte has to be there, where there is one.
    pub(super) until: Option<Instant>,
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
            (Framing::Chunked | Framing::Stream, Rest::Done) => Framing::Length(body.held as u64),
            (Framing::Chunked | Framing::Stream, _) => Framing::Chunked,
        };
        self.request.clear();
        self.reply.clear();
        let bytes = self.input.filled();
        request_head::write(permit, head, bytes, origin, framing, &self.site.upstreams.host, self.request);
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
        let upstreams = &self.site.upstreams;
        let mut lease = match upstreams.lease(!head.is_idempotent, self.deadline).await {
            Ok(lease) => lease,
            Err(failure) => return Outcome::Failed(failure),
        };
        loop {
            let asked_at = clock::now();
            match self.ask(&mut lease.connection, head, apart, asked).await {
                Ok(response) => {
                    lease.place.answered();
                    self.site
                        .metrics
                        .answered(clock::now().saturating_duration_since(asked_at), response.timing());
                    return self.relay_and_keep(lease, head, response).await;
                }
                // The upstream closed a kept connection as we wrote to it: nothing was answered, and
                // asking again does no harm.
                Err(Some(Failure::Cut))
                    if lease.connection.reused
                        && lease.connection.buffer.is_empty()
                        && head.is_idempotent =>
                {
                    self.shared.metrics.retries.inc();
                    lease = match upstreams.lease_new(self.deadline).await {
                        Ok(lease) => lease,
                        Err(failure) => return Outcome::Failed(failure),
                    };
                }
                Err(Some(failure)) => {
                    return lease.place.failed(failure);
                }
                Err(None) => {
                    self.shared.metrics.clients_left.inc();
                    return Outcome::Broken(None);
                }
            }
        }
    }

    /// Sends the request and reads the response's head; nothing came of it where the client left.
    async fn ask(
        &mut self,
        connection: &mut Connection,
        head: &Head,
        apart: usize,
        asked: Asked<'_>,
    ) -> Result<Response, Option<Failure>> {
        let limits = &self.shared.limits;
        let body = self.input.filled().get(head.len..head.len + apart).unwrap_or_default();
        let pieces = [self.request.as_slice(), body, b""];
        let Connection { stream, buffer, .. } = connection;
        write_all(stream, pieces, self.deadline, limits.upstream_head())
            .await
            .map_err(|error| sending_failed(&error))?;
        let until = clock::now() + limits.upstream_head();
        let max = limits.upstream_head_bytes;
        let receiving = receive_head(stream, buffer, max, asked, self.reply, self.deadline, until);
        tokio::select! {
            biased;
            received = receiving => received.map_err(Some),
            () = self.client.gone(self.input) => Err(None),
        }
    }

    async fn relay_and_keep(&mut self, mut lease: Lease<'_>, head: &Head, response: Response) -> Outcome {
        if response == Response::Switched {
            return self.carry(&mut lease.connection, head).await;
        }
        let Response::Final { status, body, rechunk, reuse, keep_alive, doubtful, .. } = response else {
            return Outcome::Failed(Failure::Malformed);
        };
        let Connection { stream, buffer, .. } = &mut lease.connection;
        let relayed =
            relay(self.account, stream, buffer, self.client, self.reply, (body, rechunk), self.deadline)
                .await;
        if let Err(broken) = relayed {
            return lease.place.broke(broken);
        }
        if reuse && lease.connection.buffer.is_empty() {
            lease.connection.doubtful = doubtful;
            lease.give_back(clock::now());
        }
        Outcome::Answered { status, keep_alive }
    }

    /// Tells the client that the upstream has switched, and carries what they say from then on.
    async fn carry(&mut self, connection: &mut Connection, head: &Head) -> Outcome {
        let metrics = &self.shared.metrics;
        metrics.tunnels.inc();
        self.account.goes(self.reply.len() as u64);
        self.input.consume(head.len);
        let stall = self.shared.limits.write_stall();
        if write_all(self.client, [self.reply, b"", b""], self.deadline, stall).await.is_ok() {
            let upstream = (&mut connection.stream, &mut connection.buffer);
            tunnel::carry(self.account, (self.client, self.input), upstream).await;
        }
        self.input.consume(self.input.len());
        Outcome::Broken(None)
    }

    /// Streams the rest of the body to the upstream while its response may already be coming back.
    ///
    /// On a connection of its own, not kept afterwards: what has been streamed cannot be sent again.
    async fn stream_both(&mut self, head: &Head, body: Body, framing: Framing, asked: Asked<'_>) -> Outcome {
        let Self { shared, site, account, client, input, request, reply, deadline } = self;
        let shared: &Shared = shared;
        let mut lease = match site.upstreams.lease_new(deadline).await {
            Ok(lease) => lease,
            Err(failure) => return Outcome::Failed(failure),
        };
        let Lease { connection: Connection { stream, buffer, .. }, place } = &mut lease;
        let (mut from_upstream, mut to_upstream) = stream.split();
        let (mut from_client, mut to_client) = tokio::io::split(&mut **client);
        let asked_at = clock::now();
        let mut sending_deadline = Deadline::default();
        let sending = pump(
            account,
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
            Ok(Response::Final { status, body, rechunk, keep_alive, timing, .. }) => {
                site.metrics.answered(clock::now().saturating_duration_since(asked_at), timing);
                (status, body, rechunk, keep_alive)
            }
            Ok(Response::Interim | Response::Switched) => return place.failed(Failure::Malformed),
            Err(failure) => return place.failed(failure),
        };
        place.answered();
        let relayed = {
            let relay =
                relay(account, &mut from_upstream, buffer, &mut to_client, reply, (body, rechunk), deadline);
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
            return place.broke(broken);
        }
        let whole = matches!(sent, Some(Ok(())));
        // A body that was not read to its end leaves no place for another request behind it.
        Outcome::Answered { status, keep_alive: keep_alive && whole }
    }
}

impl Place<'_> {
    /// The upstream failed before the client was sent anything.
    fn failed(&self, failure: Failure) -> Outcome {
        self.note_failure();
        Outcome::Failed(failure)
    }

    /// A response broke off: the upstream failed, or, with nothing, the client did.
    fn broke(&self, failure: Option<Failure>) -> Outcome {
        if failure.is_some() {
            self.note_failure();
        }
        Outcome::Broken(failure)
    }
}

fn sending_failed(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::TimedOut { Failure::Late } else { Failure::Cut }
}
