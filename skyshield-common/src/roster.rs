//! Banned and listed IPv4 addresses at a glance, as they lie in [`ROSTER_V4`](crate::maps::ROSTER_V4): where a table of
//! hosts is too large for any cache, most packets are judged by one line of this, dropped or not.
//!
//! Sixteen bits and sixteen are an address: it is spread over all 32 by a multiplication that can be taken back, of
//! which the upper bits say on which [`Line`] it is, and the lower are its tag there (the more lines, the more bits are
//! both). A tag has its [`Seat`] in one of two words, four to a word. One for which neither has room is left out, and
//! the line's [`Note`] says how many are, and from when on some of its bans no longer hold.
//!
//! Whatever a line does not know is asked of [`HOSTS_V4`](crate::maps::HOSTS_V4), which decides: of a million addresses
//! one in seven hundred is left out, of as many as there may be one in twenty-three.

/// Words of a line.
pub const WORDS: usize = 8;
/// The last of them: [`Note`].
pub const NOTE: usize = WORDS - 1;
/// Tags of a word.
pub const TAGS: usize = 4;

/// A line as it lies in the map: tags, and a note on all of them.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line(pub [u64; WORDS]);

/// The fewest lines: with fewer, a line and a tag would not be all of an address.
const LEAST: u32 = 1 << 16;
/// Buckets of hosts from which on there is a roster: fewer are found in about as short a time.
const FROM_BUCKETS: u32 = 1 << 17;

/// How many lines there are beside so many [buckets](crate::host::bucket_count): none, or a power of two with room for
/// a sixth more than the buckets hold at most.
pub const fn line_count(buckets: u32) -> u32 {
    match buckets / 4 {
        _ if buckets < FROM_BUCKETS => 0,
        lines if lines < LEAST => LEAST,
        lines => lines,
    }
}

/// Where an address is to be, if anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The number of its line.
    pub line: u32,
    /// The two words in one of which its tag is.
    pub words: [usize; 2],
    /// Its tag. 0 is an empty seat: an address with that tag has none.
    pub tag: u64,
}

/// Bits of a tag that do not say on which of so many lines it is; 0 where there are none.
pub const fn tag_bits(lines: u32) -> u32 {
    if lines == 0 { 0 } else { u32::BITS - lines.trailing_zeros() }
}

/// Odd, so that it can be taken back; of the golden ratio, as a table's is.
const FACTOR: u32 = 0x9e37_79b1;
/// Odd as well, and of another kind: the words must not go by what the line goes by.
const CHOICE: u32 = 0x85eb_ca6b;
/// What takes the first back.
const BACK: u32 = {
    // Each step doubles the number of bits that are right.
    let mut back = FACTOR;
    let mut bits = 3;
    while bits < 32 {
        back = back.wrapping_mul(2_u32.wrapping_sub(FACTOR.wrapping_mul(back)));
        bits *= 2;
    }
    back
};

/// The seat of an address in a roster of 2^(32 - `tag_bits`) lines.
#[inline]
pub const fn seat(address: u32, tag_bits: u32) -> Seat {
    /// Words before the second half.
    const HALF: usize = 4;
    let spread = address.wrapping_mul(FACTOR);
    let choice = (spread.wrapping_mul(CHOICE) >> 18) as usize;
    Seat {
        line: spread >> tag_bits,
        words: [choice & (HALF - 1), HALF + (((choice >> 2) * (NOTE - HALF)) >> 12)],
        tag: (spread & 0xffff) as u64,
    }
}

/// The address with this tag on this line.
pub const fn address(line: u32, tag: u64, tag_bits: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "a tag has 16 bits at most")]
    let spread = line << tag_bits | tag as u32;
    spread.wrapping_mul(BACK)
}

/// Whether a tag, which is not 0, is in a word.
#[inline]
pub const fn has(word: u64, tag: u64) -> bool {
    holes(word ^ tag.wrapping_mul(ONES)) != 0
}

/// Whether it is in one of two. In which of them no processor foresees: it is not asked which.
#[inline]
pub const fn have([left, right]: [u64; 2], tag: u64) -> bool {
    let tags = tag.wrapping_mul(ONES);
    holes(left ^ tags) | holes(right ^ tags) != 0
}

/// Which of a seat's two words takes one more tag: that with more room. `None` where neither has any.
pub fn roomier(words: [u64; 2]) -> Option<usize> {
    let [left, right] = words.map(|word| tags(word).into_iter().filter(|tag| *tag == 0).count());
    (left.max(right) > 0).then_some(usize::from(left < right))
}

/// A bit for the lowest sixteen that are 0, and maybe for some above.
const fn holes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & ONES << 15
}

const ONES: u64 = 0x0001_0001_0001_0001;

/// The tags of a word, with those that are 0.
pub const fn tags(word: u64) -> [u64; TAGS] {
    [word & 0xffff, word >> 16 & 0xffff, word >> 32 & 0xffff, word >> 48]
}

/// The word with one tag instead of another that it has.
#[must_use]
pub const fn replaced(word: u64, before: u64, tag: u64) -> u64 {
    let at = holes(word ^ before.wrapping_mul(ONES)).trailing_zeros() - 15;
    word ^ (before ^ tag) << at
}

/// What is to be known of a line's tags. All zero, none is left out, and all of them hold for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note(u64);

impl Note {
    /// The one with these bits.
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The first [tick](crate::host::tick) at which not all of the line's tags hold.
    #[inline]
    pub const fn ends(self) -> u32 {
        !((self.0 >> 32) as u32)
    }

    /// The same from this tick on.
    #[must_use]
    pub const fn ending(self, tick: u32) -> Self {
        Self(self.0 & u32::MAX as u64 | (!tick as u64) << 32)
    }

    /// How many have no room on the line.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    pub const fn left_out(self) -> u32 {
        self.0 as u32
    }

    /// The same with so many.
    #[must_use]
    pub const fn leaving_out(self, count: u32) -> Self {
        Self(self.0 >> 32 << 32 | count as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::host;

    proptest! {
        #[test]
        fn a_line_and_a_tag_are_an_address(bits: u32, tag_bits in 9_u32..=16) {
            let seat = seat(bits, tag_bits);
            prop_assert!(u64::from(seat.line) >> (32 - tag_bits) == 0 && seat.tag >> 16 == 0);
            prop_assert!(seat.words[0] < 4 && (4..NOTE).contains(&seat.words[1]));
            prop_assert_eq!(address(seat.line, seat.tag, tag_bits), bits);
        }

        #[test]
        fn a_word_has_what_was_put_in(all: [u16; TAGS], tag in 1_u16.., other in 1_u16..) {
            let word = all.iter().rev().fold(0, |word, tag| word << 16 | u64::from(*tag));
            prop_assert_eq!(tags(word), all.map(u64::from));
            prop_assert_eq!(has(word, tag.into()), all.contains(&tag));
            prop_assert_eq!(have([word, other.into()], tag.into()), all.contains(&tag) || tag == other);
            prop_assert_eq!(have([other.into(), word], tag.into()), all.contains(&tag) || tag == other);
            let room = |word: [u16; TAGS]| word.iter().filter(|tag| **tag == 0).count();
            let words = [all, [tag, other, 0, tag]];
            let side = roomier(words.map(|all| all.iter().rev().fold(0, |word, tag| word << 16 | u64::from(*tag))));
            prop_assert_eq!(side, Some(usize::from(room(all) < 1)));
            prop_assert_eq!(roomier([word | ONES; 2]), None);
            let Some(at) = all.iter().position(|one| *one == other || *one == 0) else { return Ok(()) };
            let mut wanted = all;
            wanted[at] = tag;
            let with = tags(replaced(word, all[at].into(), tag.into()));
            prop_assert_eq!(with, wanted.map(u64::from));
        }

        #[test]
        fn a_note_gives_back_what_was_put_in(bits: u64, tick: u32, count: u32) {
            let note = Note::from_bits(bits);
            prop_assert_eq!((note.ending(tick).ends(), note.ending(tick).left_out()), (tick, note.left_out()));
            let with = note.leaving_out(count);
            prop_assert_eq!((with.ends(), with.left_out()), (note.ends(), count));
        }
    }

    #[test]
    fn a_new_line_knows_that_it_is_empty() {
        assert_eq!((Note::default().ends(), Note::default().left_out()), (u32::MAX, 0));
    }

    #[test]
    fn there_are_lines_for_many_and_none_for_few() {
        let lines = |addresses| line_count(host::bucket_count(addresses));
        assert_eq!([0, 393_216, 393_217, 1_000_000, 1_572_865].map(lines), [0, 0, 1 << 16, 1 << 16, 1 << 17]);
        assert_eq!(lines(u32::MAX), 1 << 28);
    }

    /// Puts so many scattered addresses on a roster for as many; how many are left out.
    fn left_out(addresses: u32) -> usize {
        let count = line_count(host::bucket_count(addresses));
        let (tag_bits, mut lines) = (tag_bits(count), std::vec![[0_u64; WORDS]; count as usize]);
        let put = |n: u32| {
            let seat = seat((host::mix(n.into()) >> 32) as u32, tag_bits);
            let line = &mut lines[seat.line as usize];
            let Some(side) = roomier(seat.words.map(|at| line[at])).filter(|_| seat.tag != 0) else {
                return true;
            };
            let word = &mut line[seat.words[side]];
            *word = replaced(*word, 0, seat.tag);
            false
        };
        (0..addresses).map(put).filter(|left_out| *left_out).count()
    }

    #[test]
    fn few_are_left_out() {
        let (million, most) = (left_out(1_000_000), left_out(1_572_864));
        assert!(
            million < 2_000 && most < 100_000,
            "{million} of a million, {most} of as many as there may be"
        );
    }
}
