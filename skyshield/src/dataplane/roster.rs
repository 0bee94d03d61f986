//! The roster of IPv4 hosts, kept beside the table that it is of.

use std::path::Path;

use skyshield_common::host::Hold;
use skyshield_common::maps as names;
use skyshield_common::roster::{self, NOTE, Note, Seat, WORDS};

use super::error::Error;
use super::shared::Shared;

/// Who is banned or listed, at a glance.
pub(super) struct Roster {
    words: Shared,
    tag_bits: u32,
}

impl Roster {
    /// The one in `dir`, beside a table of so many buckets; `None` where that is too small for one.
    pub(super) fn open(dir: &Path, buckets: u32) -> Result<Option<Self>, Error> {
        let lines = roster::line_count(buckets);
        if lines == 0 {
            return Ok(None);
        }
        Ok(Some(Self { words: Shared::open(dir, names::ROSTER_V4)?, tag_bits: roster::tag_bits(lines) }))
    }

    /// Has the line of an address fetched that is soon wanted.
    pub(super) fn foresee(&self, address: u32) {
        self.words.fetch(first_word(roster::seat(address, self.tag_bits).line));
    }

    /// Follows a change of what the table says of an address. To be told of it first where the table is to say less, and
    /// last where more: a daemon that dies between the two leaves nobody who is dropped for too long. `hold` is what the
    /// table says of any.
    pub(super) fn follow(&self, address: u32, before: Hold, after: Hold, hold: impl Fn(u32) -> Hold) {
        let seat = roster::seat(address, self.tag_bits);
        if before == after || seat.tag == 0 {
            return;
        }
        let (note, written) = (self.note(seat.line), self.written(seat));
        match (written, after != Hold::NONE) {
            (None, true) if before == Hold::NONE => {
                for (at, word) in entered(seat, after, |at| self.words.load(at)) {
                    self.words.store(at, word);
                }
            }
            // Of those left out there is only their number.
            (None, false) => self.say(seat.line, note.leaving_out(note.left_out().saturating_sub(1))),
            (None, true) => {}
            // Nobody on the line ends before it.
            (Some(_), true) if after.ends() <= note.ends() => {
                self.say(seat.line, note.ending(after.ends()));
            }
            (Some(at), stays) => {
                if !stays {
                    self.words.store(at, roster::replaced(self.words.load(at), seat.tag, 0));
                }
                // Who ends first makes way for the next.
                if before.ends() <= note.ends() && note.ends() != u32::MAX {
                    let ends = self.addresses(seat.line).map(|address| hold(address).ends());
                    self.say(seat.line, note.ending(ends.min().unwrap_or(u32::MAX)));
                }
            }
        }
    }

    /// Mends what an earlier daemon has left, which may have died between a change of the table and this: `all` is
    /// everything the table says. Who has a seat keeps it throughout.
    pub(super) fn mend(&self, all: &[(u32, Hold)]) {
        let wanted = self.wanted(all);
        for (at, &wanted) in wanted.iter().enumerate().skip(NOTE).step_by(WORDS) {
            // A line ends before who is new on it does.
            let (there, wanted) = (Note::from_bits(self.words.load(at)), Note::from_bits(wanted));
            if wanted.ends() < there.ends() {
                self.words.store(at, there.ending(wanted.ends()).bits());
            }
        }
        // In this order a line's note is the last of it: who was left out is counted until it has its seat.
        for (at, wanted) in wanted.into_iter().enumerate() {
            let there = self.words.load(at);
            let is_right = if at % WORDS == NOTE { there == wanted } else { sorted(there) == sorted(wanted) };
            if !is_right {
                self.words.store(at, wanted);
            }
        }
    }

    /// The words of a roster that says what the table says, with whoever has a seat in this one in the same word.
    fn wanted(&self, all: &[(u32, Hold)]) -> Vec<u64> {
        let mut wanted = vec![0_u64; self.words.words().len()];
        let mut without = Vec::new();
        for &(address, hold) in all {
            let seat = roster::seat(address, self.tag_bits);
            if let Some(at) = self.written(seat) {
                wanted[at] = roster::replaced(wanted[at], 0, seat.tag);
                let at = first_word(seat.line) + NOTE;
                let note = Note::from_bits(wanted[at]);
                wanted[at] = note.ending(note.ends().min(hold.ends())).bits();
            } else if seat.tag != 0 {
                without.push((seat, hold));
            }
        }
        for (seat, hold) in without {
            for (at, word) in entered(seat, hold, |at| wanted[at]) {
                wanted[at] = word;
            }
        }
        wanted
    }

    /// Everyone with a seat on a line.
    fn addresses(&self, line: u32) -> impl Iterator<Item = u32> {
        let words = first_word(line)..first_word(line) + NOTE;
        let tags = words.flat_map(|at| roster::tags(self.words.load(at))).filter(|tag| *tag != 0);
        tags.map(move |tag| roster::address(line, tag, self.tag_bits))
    }

    /// The word in which a seat's tag is.
    fn written(&self, seat: Seat) -> Option<usize> {
        let mut words = seat.words.map(|word| first_word(seat.line) + word).into_iter();
        words.find(|at| seat.tag != 0 && roster::has(self.words.load(*at), seat.tag))
    }

    fn note(&self, line: u32) -> Note {
        Note::from_bits(self.words.load(first_word(line) + NOTE))
    }

    fn say(&self, line: u32, note: Note) {
        self.words.store(first_word(line) + NOTE, note.bits());
    }
}

/// What to write, in turn, so that an address has its seat, or is counted among those left out.
fn entered(seat: Seat, hold: Hold, load: impl Fn(usize) -> u64) -> [(usize, u64); 2] {
    let note_at = first_word(seat.line) + NOTE;
    let note = Note::from_bits(load(note_at));
    let words = seat.words.map(|word| first_word(seat.line) + word);
    match roster::roomier(words.map(&load)) {
        Some(side) => {
            // Until all hold that did before, and this one.
            let note = note.ending(note.ends().min(hold.ends()));
            [(note_at, note.bits()), (words[side], roster::replaced(load(words[side]), 0, seat.tag))]
        }
        None => [(note_at, note.leaving_out(note.left_out().saturating_add(1)).bits()); 2],
    }
}

fn sorted(word: u64) -> [u64; roster::TAGS] {
    let mut tags = roster::tags(word);
    tags.sort_unstable();
    tags
}

const fn first_word(line: u32) -> usize {
    line as usize * WORDS
}
