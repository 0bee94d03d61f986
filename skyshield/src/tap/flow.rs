//! One connection: its stream, and what is made of it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use super::metrics::{Heard, Metrics, Turn};
use super::stream::{Piece, Room, Stream};
use super::{Progress, Reads, Requests};
use crate::engine::incident::Client;
use crate::inspect::Request;

/// A connection.
#[derive(Debug)]
pub(super) struct Flow<R> {
    origin: u32,
    pub(super) heard_at: Instant,
    stream: Stream,
    reading: Reading<R>,
    /// What of its stream need not come, and is not copied.
    pub(super) unwanted_until: Option<u64>,
    /// Where its end lies.
    end: Option<u64>,
    /// A byte that the application does not read: it is urgent.
    urgent: Option<u64>,
    /// Where the latest requests began.
    starts: VecDeque<u64>,
    /// Bytes that were taken out of the ring since the kernel was told.
    pub(super) untold: usize,
}

#[derive(Debug)]
enum Reading<R> {
    /// Nothing was read of it.
    Fresh,
    Requests(R),
    /// It was lost; a new request may begin with any segment.
    Lost,
    /// It speaks another language.
    Foreign,
}

/// What a segment says, with what it carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    /// The number of its first byte.
    pub(super) seq: u32,
    pub(super) bytes: &'a [u8],
    /// What the host's socket waits for.
    pub(super) received: u32,
    pub(super) is_last: bool,
    /// TCP's urgent pointer; 0 is none.
    pub(super) urgent: u16,
}

/// Places where requests began that are remembered.
const REMEMBERED: usize = 8;

/// How far the origins of one connection may seem apart: the kernel's two words that give it are not
/// read at one moment.
const TORN: u32 = 1 << 18;

impl<R: Requests> Flow<R> {
    pub(super) fn new(origin: u32, now: Instant) -> Self {
        Self {
            origin,
            heard_at: now,
            stream: Stream::default(),
            reading: Reading::Fresh,
            unwanted_until: None,
            end: None,
            urgent: None,
            starts: VecDeque::new(),
            untold: 0,
        }
    }

    /// Whether it is the connection that began with `origin`, and not a later one between the same ports.
    pub(super) fn began_with(&self, origin: u32) -> bool {
        let apart = origin.wrapping_sub(self.origin);
        apart.wrapping_add(TORN) <= 2 * TORN
    }

    /// Bytes that it keeps.
    pub(super) fn held(&self) -> usize {
        let reading = if let Reading::Requests(requests) = &self.reading { requests.held() } else { 0 };
        self.stream.held() + reading
    }

    /// Whether all of it was read.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some_and(|end| self.stream.next() >= end)
    }

    /// Whether a request has begun and is not whole.
    pub(super) fn is_amid(&self) -> bool {
        matches!(&self.reading, Reading::Requests(requests) if !requests.is_between())
    }

    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.reading, Reading::Foreign)
    }

    /// The number of the next byte, and how many from there on are of no use.
    pub(super) fn unwanted(&self) -> (u32, u64) {
        let count = match &self.reading {
            Reading::Requests(requests) => requests.unwanted(),
            Reading::Foreign => u64::MAX,
            Reading::Fresh | Reading::Lost => 0,
        };
        (self.seq(self.stream.next()), count)
    }

    pub(super) fn next(&self) -> u64 {
        self.stream.next()
    }

    #[expect(clippy::cast_possible_truncation, reason = "as TCP counts")]
    fn seq(&self, place: u64) -> u32 {
        self.origin.wrapping_add(place as u32)
    }

    /// The place in the stream that TCP's number says, nearest to the next byte.
    fn place(&self, seq: u32) -> Option<u64> {
        self.stream.place(seq.wrapping_sub(self.seq(self.stream.next())).cast_signed())
    }

    /// Takes a segment, and shows what requests it makes whole.
    pub(super) fn take<S: Reads<Requests = R>>(
        &mut self,
        said: Said<'_>,
        peer: IpAddr,
        room: Room,
        (reads, metrics): (&S, &Metrics),
        show: &mut dyn FnMut(Client, &Request<'_>),
    ) {
        // What lies before the connection's first byte is nothing of its.
        let Some(start) = self.place(said.seq) else { return };
        let received = self.place(said.received).unwrap_or(0);
        let end = start + said.bytes.len() as u64;
        if said.is_last {
            self.end = Some(end);
        }
        if said.urgent != 0 {
            metrics.urgent(1);
            self.urgent = Some(start + u64::from(said.urgent) - 1);
        }
        let is_first = matches!(self.reading, Reading::Fresh);
        if is_first && received > 0 {
            // It was there before we were.
            self.reading = Reading::Lost;
            self.stream = Stream::at(received);
        }
        let Self { stream, reading, urgent, starts, unwanted_until, .. } = self;
        let mut read = |piece| reading.read(piece, (urgent, starts), peer, (reads, metrics), show);
        if let Some(until) = *unwanted_until {
            stream.miss(until.min(start), &mut read);
            if stream.next() >= until {
                *unwanted_until = None;
            }
        }
        stream.received(received, &mut read);
        stream.take(start, said.bytes, received, room, &mut read);
        metrics.odd(stream.take_odds());
    }
}

impl<R: Requests> Reading<R> {
    fn read<S: Reads<Requests = R>>(
        &mut self,
        piece: Piece,
        (urgent, starts): (&mut Option<u64>, &mut VecDeque<u64>),
        peer: IpAddr,
        (reads, metrics): (&S, &Metrics),
        show: &mut dyn FnMut(Client, &Request<'_>),
    ) {
        let (start, bytes) = match piece {
            Piece::Bytes(start, mut bytes) => {
                let at = urgent.and_then(|place| usize::try_from(place.checked_sub(start)?).ok());
                if let Some(at) = at.filter(|&at| at < bytes.len()) {
                    bytes.remove(at);
                    *urgent = None;
                }
                (start, bytes)
            }
            Piece::Gap(count) => return self.miss(count, metrics),
            Piece::Again(place) => return self.read_anew(place, starts, reads, metrics),
        };
        if matches!(self, Self::Fresh | Self::Lost) {
            self.begin(&bytes, reads, metrics);
        }
        let Self::Requests(requests) = self else { return };
        if requests.is_between() {
            if starts.len() == REMEMBERED {
                starts.pop_front();
            }
            starts.push_back(start);
        }
        requests.push(&bytes);
        loop {
            match requests.read(peer, show) {
                Progress::More => return,
                Progress::Seen { whole: true } => metrics.heard(Heard::Whole),
                Progress::Seen { whole: false } => metrics.heard(Heard::InPart),
                Progress::Refused => metrics.heard(Heard::Refused),
                Progress::Lost => return self.lose(metrics),
            }
        }
    }

    /// Finds out what is spoken.
    fn begin<S: Reads<Requests = R>>(&mut self, bytes: &[u8], reads: &S, metrics: &Metrics) {
        let is_fresh = matches!(self, Self::Fresh);
        let foreign = match bytes {
            _ if !is_fresh => None,
            [0x16, 0x03, ..] => Some(Turn::Tls),
            _ if bytes.starts_with(b"PRI * HTTP/2") => Some(Turn::Http2),
            // A server may pass over an empty line; a letter begins a method.
            [first, ..] if !(first.is_ascii_alphabetic() || matches!(first, b'\r' | b'\n')) => {
                Some(Turn::Foreign)
            }
            _ => None,
        };
        if let Some(turn) = foreign {
            metrics.turn(turn);
            *self = Self::Foreign;
        } else if is_fresh || reads.may_begin(bytes) {
            metrics.turn(if is_fresh { Turn::Opened } else { Turn::Joined });
            *self = Self::Requests(reads.requests());
        }
    }

    /// What was read from `place` on is not what the host has: where a request began there, another does.
    fn read_anew<S: Reads<Requests = R>>(
        &mut self,
        place: u64,
        starts: &VecDeque<u64>,
        reads: &S,
        metrics: &Metrics,
    ) {
        self.lose(metrics);
        if starts.contains(&place) {
            metrics.turn(Turn::Joined);
            *self = Self::Requests(reads.requests());
        }
    }

    fn miss(&mut self, count: u64, metrics: &Metrics) {
        let is_missed = match self {
            Self::Requests(requests) => !requests.skip(count),
            Self::Fresh => true,
            Self::Lost | Self::Foreign => false,
        };
        if is_missed {
            self.lose(metrics);
        }
    }

    fn lose(&mut self, metrics: &Metrics) {
        if let Self::Requests(requests) = self
            && !requests.is_between()
        {
            metrics.heard(Heard::Lost);
        }
        metrics.turn(Turn::Lost);
        *self = Self::Lost;
    }
}
