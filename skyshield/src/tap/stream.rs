//! One direction of one connection, put together again: in order, each byte once.
//!
//! Bytes are counted from the connection's first one. Which of two different bytes for one place is
//! read is what Linux itself does with them: the segment that came first wins, unless a later one
//! begins as early and reaches further, or covers it whole.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher as _;

/// How far ahead of what is missing a stream keeps what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes.
    pub(super) bytes: usize,
    /// Segments.
    pub(super) segments: usize,
}

/// What became of bytes that were not plainly the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Odds {
    /// Segments that came before their turn.
    pub(super) reordered: u64,
    /// Segments all of which had come before.
    pub(super) repeated: u64,
    /// Segments part of which had come before.
    pub(super) overlapping: u64,
    /// Segments that said otherwise of bytes that had come before.
    pub(super) contradicting: u64,
    /// Segments for which there was no room.
    pub(super) without_room: u64,
    /// Bytes that the host has and that never came here.
    pub(super) missing: u64,
}

/// What is read of a stream next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// These bytes, the first of which has this place.
    Bytes(u64, Vec<u8>),
    /// So many are missing.
    Gap(u64),
    /// What was read from this place on was not what the host has taken: it is read again.
    Again(u64),
}

/// How many of the latest segments are remembered by what they said.
const REMEMBERED: usize = 8;

/// A stream of bytes.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The next byte to be read.
    next: u64,
    /// What has come before its turn, by its first byte.
    ahead: BTreeMap<u64, Vec<u8>>,
    ahead_bytes: usize,
    /// Where the latest segments began and ended, and what they said in short.
    latest: VecDeque<(u64, u64, u64)>,
    odds: Odds,
}

impl Stream {
    /// One that is joined at the byte of this place.
    pub(super) fn at(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// The next byte to be read.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes that it keeps.
    pub(super) fn held(&self) -> usize {
        self.ahead_bytes
    }

    /// What was odd since the last time.
    pub(super) fn take_odds(&mut self) -> Odds {
        std::mem::take(&mut self.odds)
    }

    /// The place, counted from the first byte, of the byte that lies `distance` from the next.
    pub(super) fn place(&self, distance: i32) -> Option<u64> {
        self.next.checked_add_signed(distance.into())
    }

    /// The host has everything before `received`: what of it is missing here will not come any more.
    pub(super) fn received(&mut self, received: u64, read: &mut impl FnMut(Piece)) {
        while self.next < received {
            self.drain(read);
            let until = self.ahead.keys().next().map_or(received, |&first| first.min(received));
            if until > self.next {
                self.miss(until, read);
            }
        }
        self.drain(read);
    }

    /// What lies before `until` will not come, by agreement.
    pub(super) fn miss(&mut self, until: u64, read: &mut impl FnMut(Piece)) {
        if let Some(count) = until.checked_sub(self.next).filter(|&count| count > 0) {
            self.next = until;
            self.odds.missing += count;
            read(Piece::Gap(count));
        }
    }

    /// Takes a segment that begins at `start`, while the host waits for the byte at `received`.
    pub(super) fn take(
        &mut self,
        start: u64,
        bytes: &[u8],
        received: u64,
        room: Room,
        read: &mut impl FnMut(Piece),
    ) {
        let end = start + bytes.len() as u64;
        if bytes.is_empty() {
            return;
        }
        if start > self.next {
            self.odds.reordered += 1;
            return self.keep(start, bytes, room);
        }
        let said = (start, end, digest(bytes));
        if start < self.next {
            let is_known = self.latest.contains(&said);
            // The host waits for what was read here already: it has thrown that away, and takes this.
            if received < self.next && start <= received && end > received && !is_known {
                self.odds.contradicting += 1;
                self.next = received;
                self.latest.clear();
                read(Piece::Again(received));
            } else if end <= self.next {
                self.odds.repeated += 1;
                return;
            } else {
                self.odds.overlapping += 1;
            }
        }
        if self.latest.len() == REMEMBERED {
            self.latest.pop_front();
        }
        self.latest.push_back(said);
        let new = usize::try_from(self.next - start).ok().and_then(|known| bytes.get(known..));
        let from = std::mem::replace(&mut self.next, end);
        read(Piece::Bytes(from, new.unwrap_or_default().to_vec()));
        self.drain(read);
    }

    /// Keeps a segment until what is missing before it has come.
    fn keep(&mut self, start: u64, bytes: &[u8], room: Room) {
        let end = start + bytes.len() as u64;
        let before = self.ahead.range(..=start).next_back().map(|(&at, kept)| (at, kept.len() as u64));
        for (at, kept) in
            self.ahead.range(..end).rev().take_while(|(at, kept)| **at + kept.len() as u64 > start)
        {
            if differ(*at, kept, start, bytes) {
                self.odds.contradicting += 1;
                break;
            }
        }
        if before.is_some_and(|(at, len)| at + len >= end) {
            return self.odds.repeated += 1;
        }
        let covered: Vec<u64> = self
            .ahead
            .range(start..end)
            .filter(|(at, kept)| **at + kept.len() as u64 <= end)
            .map(|(&at, _)| at)
            .collect();
        for at in covered {
            self.ahead_bytes -= self.ahead.remove(&at).map_or(0, |kept| kept.len());
        }
        if self.ahead.len() >= room.segments || self.ahead_bytes + bytes.len() > room.bytes {
            return self.odds.without_room += 1;
        }
        self.ahead_bytes += bytes.len();
        self.ahead.insert(start, bytes.to_vec());
    }

    /// Reads what has come ahead, as far as nothing is missing before it.
    fn drain(&mut self, read: &mut impl FnMut(Piece)) {
        while let Some(entry) = self.ahead.first_entry()
            && *entry.key() <= self.next
        {
            let (start, mut bytes) = entry.remove_entry();
            self.ahead_bytes -= bytes.len();
            let end = start + bytes.len() as u64;
            if end <= self.next {
                continue;
            }
            let known = usize::try_from(self.next - start).unwrap_or(usize::MAX);
            bytes.drain(..known.min(bytes.len()));
            let from = std::mem::replace(&mut self.next, end);
            read(Piece::Bytes(from, bytes));
        }
    }
}

fn digest(bytes: &[u8]) -> u64 {
    // Unforeseeable: whoever could foresee it could say one thing and have another remembered.
    static SEED: std::sync::LazyLock<std::hash::RandomState> = std::sync::LazyLock::new(Default::default);
    let mut hasher = std::hash::BuildHasher::build_hasher(&*SEED);
    hasher.write(bytes);
    hasher.finish()
}

/// Whether two segments say different things of a byte that both hold.
fn differ(one_at: u64, one: &[u8], other_at: u64, other: &[u8]) -> bool {
    let from = one_at.max(other_at);
    let until = (one_at + one.len() as u64).min(other_at + other.len() as u64);
    let part = |at: u64, bytes: &[u8]| -> Option<Vec<u8>> {
        let (from, until) = (usize::try_from(from - at).ok()?, usize::try_from(until.checked_sub(at)?).ok()?);
        bytes.get(from..until).map(<[u8]>::to_vec)
    };
    from < until && part(one_at, one) != part(other_at, other)
}

#[cfg(test)]
mod tests;
