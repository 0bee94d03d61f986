//! One connection of a proxy's, from its first question to its last.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Sleep, sleep_until, timeout_at};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::answer::{Audience, Failure, No};
use super::asked::{Answer, Body, Desk, Step};
use super::config::OnFailure;
use super::live::{Live, OpenDoor, Shared};
use super::wire::{Dechunk, Framing, Unreadable, head_len};
use crate::clock;
use crate::inspect::{CHARSET, CONTENT_CODING};
use crate::verdict::{Refusal, RefusalReason, Verdict, mint};

/// What a connection reads into, in bytes; grown as a question needs.
const FIRST_READ: usize = 8 * 1024;
/// What an idle connection keeps at the most, in bytes.
const KEPT: usize = 64 * 1024;
/// Without a question for so long, a connection is closed: proxies close idle ones sooner.
const IDLE: Duration = Duration::from_mins(5);
/// From a head's first byte to its last.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// A proxy that does not take an answer for so long is gone.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a question that are still read when it has been answered, and for how long: closing on unread
/// bytes would take back the answer.
const GOODBYE_BYTES: usize = 1024 * 1024;
const GOODBYE: Duration = Duration::from_secs(1);

struct Connection<'a, S> {
    live: &'a Live,
    at: usize,
    stream: S,
    input: Vec<u8>,
    out: Vec<u8>,
    timer: Pin<Box<Sleep>>,
}

/// Answers questions on `stream`, at the door number `at`, until the proxy has no more or until `stop`.
pub(super) async fn serve<S>(live: &Live, at: usize, stream: S, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let timer = Box::pin(sleep_until(deadline(clock::now(), IDLE)));
    let (input, out) = (Vec::with_capacity(FIRST_READ), Vec::with_capacity(1024));
    let mut connection = Connection { live, at, stream, input, out, timer };
    let mut stopped = pin!(stop.cancelled());
    while let Some(head) = connection.next(stopped.as_mut()).await {
        match connection.handle(head, stop).await {
            Some(true) => {}
            Some(false) => return connection.say_goodbye().await,
            None => return,
        }
    }
}

fn deadline(now: Instant, time: Duration) -> tokio::time::Instant {
    tokio::time::Instant::from_std(now + time)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    /// How long the next head is, once it is at the front of the input; nothing at the end.
    async fn next(
        &mut self,
        mut stopped: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Option<Result<usize, Unreadable>> {
        let (mut seen, mut since) = (0, clock::now());
        loop {
            match head_len(&self.input, seen) {
                Ok(None) => {}
                Ok(Some(len)) => return Some(Ok(len)),
                Err(unreadable) => return Some(Err(unreadable)),
            }
            seen = self.input.len();
            let patience = if seen == 0 { IDLE } else { HEAD_WITHIN };
            self.input.reserve(FIRST_READ / 2);
            tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.input) => match read {
                    Ok(1..) if seen == 0 => since = clock::now(),
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return None,
                },
                () = stopped.as_mut(), if seen == 0 => return None,
                () = self.timer.as_mut() => {
                    // The timer is left where it is while there is something to do, and set only now.
                    let by = since + patience;
                    if clock::now() >= by {
                        return None;
                    }
                    self.timer.as_mut().reset(tokio::time::Instant::from_std(by));
                }
            }
        }
    }

    /// Answers the question whose head is at the front of the input; whether the connection goes on.
    /// Nothing where nobody is left to be answered.
    async fn handle(&mut self, head: Result<usize, Unreadable>, stop: &CancellationToken) -> Option<bool> {
        let live = self.live;
        let OpenDoor { door, metrics, seldom } = live.doors.get(self.at)?;
        let shared = live.load();
        let asked_at = clock::now();
        let desk = Desk { shared: &shared, door, metrics, told: live.told.as_ref(), asked_at };
        let (mut used, mut share) = (self.input.len(), None);
        let step = match head {
            Ok(len) => {
                let step = desk.step(self.input.get(..len).unwrap_or_default(), Body::Unread, asked_at);
                used = len;
                match step {
                    Ok(Step::Read { framing, expects_continue }) => {
                        let most = match framing {
                            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
                            Framing::Chunked | Framing::None => usize::MAX,
                        };
                        share = live.held.take(most.min(shared.inspected_body_bytes));
                        let body = match &share {
                            Some(_) => {
                                self.read_body(&shared, len, framing, expects_continue, asked_at).await
                            }
                            None => Ok(Err(Failure::NoRoom)),
                        };
                        match body {
                            Ok(Ok(read)) => {
                                used = read.used;
                                let (head, rest) = self.input.split_at(len);
                                let bytes = rest.get(..read.end - len).unwrap_or_default();
                                let body = Body::Read { bytes, is_cut: read.is_cut };
                                desk.step(head, body, clock::now())
                            }
                            Ok(Err(failure)) => Ok(desk.answer_unread(Answer::Failed(failure))),
                            Err(unreadable) => Err(unreadable),
                        }
                    }
                    step => step,
                }
            }
            Err(Unreadable::HeadTooLarge) => Ok(desk.answer_unread(Answer::TooLarge(431))),
            Err(unreadable) => Err(unreadable),
        };
        self.out.clear();
        let (audience, answer) = match step {
            Ok(Step::Answer(audience, answer)) => (audience, *answer),
            Ok(Step::Read { .. }) => return None,
            Err(error) => {
                metrics.unreadable.inc();
                if seldom.is_due(asked_at) {
                    tracing::warn!(door = door.name(), %error, "a proxy's question could not be read");
                }
                self.out.extend_from_slice(
                    b"HTTP/1.1 500 Internal Server Error\r\nX-SkyShield-Failure: unreadable\r\n\
                      Content-Length: 0\r\nConnection: close\r\n\r\n",
                );
                self.write().await?;
                return Some(false);
            }
        };
        let audience = Audience { keep_alive: audience.keep_alive && !stop.is_cancelled(), ..audience };
        self.put(&shared, audience, answer).await;
        drop(share);
        metrics.took.observe(clock::now().saturating_duration_since(asked_at).as_secs_f64());
        self.write().await?;
        self.input.drain(..used.min(self.input.len()));
        if self.input.is_empty() && self.input.capacity() > KEPT {
            self.input = Vec::with_capacity(FIRST_READ);
        }
        Some(audience.keep_alive)
    }

    /// Puts the answer together; a refusal waits a little for its ban.
    async fn put(&mut self, shared: &Shared, audience: Audience, answer: Answer) {
        let Some(OpenDoor { door, metrics, seldom }) = self.live.doors.get(self.at) else { return };
        let told = self.live.told.as_ref();
        match answer {
            Answer::Judged(Verdict::Pass(mut permit)) => {
                metrics.passed.inc();
                let trail = permit.take_trail();
                let awaited = told.zip(trail).map(|(told, trail)| told.awaited.keep(trail));
                audience.pass(permit.score(), permit.take_quota().as_ref(), awaited, &mut self.out);
            }
            Answer::Judged(Verdict::Limit(limited)) => {
                metrics.limited.inc();
                let no = No {
                    status: 429,
                    reason: "quota",
                    detail: "there were too many like it; come again later",
                    incident: limited.incident,
                    limited: Some((&limited.quota, limited.retry_after)),
                };
                audience.refuse(no, &mut self.out);
            }
            Answer::Judged(Verdict::Refuse(refusal)) | Answer::Banned(refusal) => {
                self.refuse(audience, refusal).await;
            }
            Answer::TooLarge(status) => {
                metrics.too_large.inc();
                let detail = match status {
                    431 => "its header section is too large",
                    _ => "its body is larger than what is inspected",
                };
                let no = No { status, reason: "too_large", detail, incident: mint(), limited: None };
                audience.refuse(no, &mut self.out);
            }
            Answer::Unasked(unasked) => {
                metrics.misconfigured.inc();
                if seldom.is_due(clock::now()) {
                    tracing::error!(door = door.name(), error = %unasked, "a proxy does not ask as it should");
                }
                audience.correct(unasked, &mut self.out);
            }
            Answer::Failed(failure) => {
                metrics.failed(failure);
                if seldom.is_due(clock::now()) {
                    tracing::warn!(door = door.name(), kind = failure.name(), "a question got no verdict");
                }
                match shared.on_failure {
                    OnFailure::Error => audience.fail(failure, &mut self.out),
                    OnFailure::Pass => audience.pass_without_verdict(failure, &mut self.out),
                }
            }
        }
    }

    async fn refuse(&mut self, audience: Audience, mut refusal: Refusal) {
        let Some(OpenDoor { metrics, .. }) = self.live.doors.get(self.at) else { return };
        refusal.settled().await;
        let (counter, status, detail) = match refusal.reason {
            RefusalReason::Risk => (&metrics.risk, 403, "it looks like an attack"),
            RefusalReason::Rule => (&metrics.rule, 403, "a rule of this site does not let it in"),
            RefusalReason::Banned(_) => (&metrics.banned, 403, "its sender is banned"),
            RefusalReason::Unwanted => (&metrics.unwanted, 403, "its sender is not wanted here"),
            RefusalReason::NoUser => (&metrics.unwanted, 403, "its sender has to log in first"),
            RefusalReason::Unread(CONTENT_CODING) => {
                (&metrics.unread, 415, "its content coding cannot be taken off")
            }
            RefusalReason::Unread(CHARSET) => (&metrics.unread, 415, "its characters cannot be read"),
            RefusalReason::Unread(_) => (&metrics.unread, 413, "it is too large to be inspected whole"),
        };
        counter.inc();
        let (reason, incident) = (refusal.reason.name(), refusal.incident);
        audience.refuse(No { status, reason, detail, incident, limited: None }, &mut self.out);
    }

    /// Reads the body as far as it is inspected, in what is left until the deadline.
    async fn read_body(
        &mut self,
        shared: &Shared,
        head_len: usize,
        framing: Framing,
        expects_continue: bool,
        asked_at: Instant,
    ) -> Result<Result<Read, Failure>, Unreadable> {
        if expects_continue && self.input.len() == head_len {
            self.out.clear();
            self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            if self.write().await.is_none() {
                return Ok(Err(Failure::Deadline));
            }
        }
        let by = deadline(asked_at, shared.deadline);
        let most = shared.inspected_body_bytes;
        let mut dechunk = Dechunk::default();
        let (mut end, mut used) = (head_len, head_len);
        loop {
            match framing {
                Framing::Chunked => {
                    (end, used) = dechunk.take(&mut self.input, used, end)?;
                    if dechunk.is_done() || end - head_len > most {
                        return Ok(Ok(Read {
                            end: end.min(head_len + most),
                            used,
                            is_cut: !dechunk.is_done(),
                        }));
                    }
                }
                Framing::Length(length) => {
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    let whole = head_len.saturating_add(length.min(most));
                    if self.input.len() >= whole {
                        return Ok(Ok(Read { end: whole, used: whole, is_cut: length > most }));
                    }
                }
                Framing::None => return Ok(Ok(Read { end, used, is_cut: false })),
            }
            self.input.reserve(FIRST_READ * 2);
            match timeout_at(by, self.stream.read_buf(&mut self.input)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return Err(Unreadable::Framing),
                Err(_late) => return Ok(Err(Failure::Deadline)),
            }
        }
    }

    async fn write(&mut self) -> Option<()> {
        let by = deadline(clock::now(), WRITTEN_WITHIN);
        timeout_at(by, self.stream.write_all(&self.out)).await.ok()?.ok()
    }

    /// Ends the sending side and waits a little for the proxy to have read it.
    async fn say_goodbye(&mut self) {
        let by = deadline(clock::now(), GOODBYE);
        if !matches!(timeout_at(by, self.stream.shutdown()).await, Ok(Ok(()))) {
            return;
        }
        let mut left = GOODBYE_BYTES;
        while left > 0 {
            self.input.clear();
            self.input.reserve(FIRST_READ);
            match timeout_at(by, self.stream.read_buf(&mut self.input)).await {
                Ok(Ok(count @ 1..)) => left = left.saturating_sub(count),
                Ok(Ok(0) | Err(_)) | Err(_) => return,
            }
        }
    }
}

/// How far a body was read.
struct Read {
    /// Where its data ends in the input.
    end: usize,
    /// Where the next question begins.
    used: usize,
    is_cut: bool,
}
