//! A request's body: held in memory as far as it is inspected, streamed from there on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncRead;

use super::buffer::{Buffer, KEPT};
use super::chunked::Chunked;
use super::config::BodyOverLimit;
use super::deadline::Deadline;
use super::framing::Framing;
use super::guard::Cause;
use super::limits::Limits;
use crate::clock;

/// Room made for one read of a body, in bytes.
const STEP: usize = 64 * 1024;

/// What is still to come of a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    /// Nothing.
    Done,
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// Whatever comes until the stream ends.
    Stream,
}

impl Rest {
    /// The whole of a body that is framed so.
    pub(super) fn of(framing: Framing) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Self::Done,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked::new()),
            Framing::Stream => Self::Stream,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Takes what has come after the first `from` bytes of `input`: how many more of them are the
    /// body's. Framing is cut out; what follows the body stays.
    pub(super) fn take(&mut self, input: &mut Buffer, from: usize) -> Result<usize, Cause> {
        let available = input.len().saturating_sub(from);
        match self {
            Self::Done => Ok(0),
            Self::Stream => Ok(available),
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok(taken)
            }
            Self::Chunked(decoder) => {
                let raw = input.filled_mut().get_mut(from..).unwrap_or_default();
                let step = decoder.decode(raw).map_err(|_| Cause::Chunk)?;
                input.cut(from + step.data, from + step.consumed);
                if decoder.is_done() {
                    *self = Self::Done;
                }
                Ok(step.data)
            }
        }
    }
}

/// The body bytes that all connections hold together.
#[derive(Debug)]
pub(super) struct Budget {
    held: AtomicUsize,
    limit: AtomicUsize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { held: AtomicUsize::new(0), limit: AtomicUsize::new(limit) }
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }
}

/// A connection's share of the budget, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share<'b> {
    budget: &'b Budget,
    bytes: usize,
}

impl<'b> Share<'b> {
    pub(super) fn none_of(budget: &'b Budget) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Takes as much as a buffer of `capacity` holds beyond what every connection has.
    fn cover(&mut self, capacity: usize) -> Result<(), Cause> {
        let more = capacity.saturating_sub(KEPT).saturating_sub(self.bytes);
        let before = self.budget.held.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        if before + more > self.budget.limit.load(Ordering::Relaxed) { Err(Cause::NoRoom) } else { Ok(()) }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Holds a body to its pace: some byte every so often, not too few in all, and an end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    start: Instant,
    until: Option<Instant>,
    received: u64,
    idle: Duration,
    bytes_per_sec: u64,
}

impl Pace {
    /// From `start` on, and not beyond `until`.
    pub(super) fn new(limits: &Limits, start: Instant, until: Option<Instant>) -> Self {
        Self {
            start,
            until,
            received: 0,
            idle: Duration::from_secs(limits.body_idle_secs),
            bytes_per_sec: limits.body_min_bytes_per_sec,
        }
    }

    /// Until when the next byte has to come, at `now`.
    fn next_by(&self, now: Instant) -> Instant {
        let earned = self.received.checked_div(self.bytes_per_sec).map(Duration::from_secs);
        let idle = now + self.idle;
        let pace = earned.and_then(|earned| self.start.checked_add(self.idle)?.checked_add(earned));
        let next = pace.map_or(idle, |pace| pace.min(idle));
        self.until.map_or(next, |until| until.min(next))
    }
}

/// Reads more of a body into `input`, `at_most` this many bytes; how many. None are the end of what is
/// the `rest` of a stream.
pub(super) async fn read_more<R: AsyncRead + Unpin>(
    reader: &mut R,
    input: &mut Buffer,
    at_most: usize,
    rest: &mut Rest,
    pace: &mut Pace,
    deadline: &mut Deadline,
) -> Result<usize, Cause> {
    let by = pace.next_by(clock::now());
    match deadline.within(by, input.fill_some(reader, at_most)).await {
        None => Err(Cause::TooSlow),
        Some(Ok(0)) if matches!(rest, Rest::Stream) => {
            *rest = Rest::Done;
            Ok(0)
        }
        Some(Ok(0) | Err(_)) => Err(Cause::Cut),
        Some(Ok(count)) => {
            pace.received += count as u64;
            Ok(count)
        }
    }
}

/// What is held of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Its bytes behind the head.
    pub(super) held: usize,
    /// Bytes that were read to have them, framing and what follows the body among them.
    pub(super) received: usize,
}

/// Reads a body into `input` behind the head of `head_len` bytes, as far as it is inspected; `rest`
/// is what is still to come then.
pub(super) async fn hold<R: AsyncRead + Unpin>(
    reader: &mut R,
    input: &mut Buffer,
    head_len: usize,
    rest: &mut Rest,
    share: &mut Share<'_>,
    policy: (&Limits, BodyOverLimit, Instant),
    deadline: &mut Deadline,
) -> Result<Held, Cause> {
    let (limits, over_limit, until) = policy;
    let mut pace = Pace::new(limits, clock::now(), Some(until));
    let (mut held, mut received) = (0, 0);
    loop {
        held += rest.take(input, head_len + held)?;
        if rest.is_done()
            && (held <= limits.inspected_body_bytes || over_limit == BodyOverLimit::PassAndCount)
        {
            return Ok(Held { held, received });
        }
        if held >= limits.inspected_body_bytes {
            match over_limit {
                BodyOverLimit::PassAndCount => return Ok(Held { held, received }),
                BodyOverLimit::Refuse if held > limits.inspected_body_bytes => {
                    return Err(Cause::BodyTooLarge);
                }
                // The end of a chunked body of just this size may still be missing.
                BodyOverLimit::Refuse => {}
            }
        }
        input.reserve(match rest {
            Rest::Length(left) => usize::try_from(*left).unwrap_or(STEP).min(STEP),
            Rest::Chunked(_) | Rest::Stream | Rest::Done => STEP / 8,
        });
        share.cover(input.capacity())?;
        // What is inspected is what the limit says, give or take a step.
        let at_most = limits.inspected_body_bytes.saturating_sub(held) + STEP / 8;
        received += read_more(reader, input, at_most, rest, &mut pace, deadline).await?;
    }
}
