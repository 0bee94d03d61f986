//! Which of the 256 byte values a text holds.

/// A set of byte values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(super) const fn of(bytes: &[u8]) -> Self {
        let mut words = [0; 4];
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            words[(byte >> 6) as usize] |= 1 << (byte & 63);
            at += 1;
        }
        Self(words)
    }

    /// The same of a text of any length, for which a table is quicker than one word that waits for itself.
    pub(super) fn scan(text: &[u8]) -> Self {
        const SHORT: usize = 160;
        if text.len() < SHORT {
            return Self::of(text);
        }
        let mut seen = [0_u8; 256];
        for &byte in text {
            seen[usize::from(byte)] = 1;
        }
        let mut words = [0; 4];
        for (word, seen) in words.iter_mut().zip(seen.chunks_exact(64)) {
            *word = seen.iter().rev().fold(0, |word, bit| word << 1 | u64::from(*bit));
        }
        Self(words)
    }

    /// The bytes, and their letters in the other case.
    pub(super) const fn of_any_case(bytes: &[u8]) -> Self {
        let set = Self::of(bytes).0;
        // Letters are the bits 1 to 26 of the halves of the second word: `A` is 0x41, `a` 0x61.
        let letters = (set[1] | set[1] >> 32) & 0x07ff_fffe;
        Self([set[0], set[1] | letters | letters << 32, set[2], set[3]])
    }

    pub(super) const fn all() -> Self {
        Self([u64::MAX; 4])
    }

    pub(super) const fn has(self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 == 1
    }

    /// Whether the two sets share a byte.
    pub(super) const fn meets(self, other: Self) -> bool {
        (self.0[0] & other.0[0])
            | (self.0[1] & other.0[1])
            | (self.0[2] & other.0[2])
            | (self.0[3] & other.0[3])
            != 0
    }

    /// The bytes in the set, in order.
    pub(super) fn bytes(self) -> impl Iterator<Item = u8> {
        #[expect(clippy::cast_possible_truncation, reason = "a bit's number is below 64")]
        let of = |(first, word): (u8, u64)| bits(word).map(move |bit| first | bit as u8);
        [0, 64, 128, 192].into_iter().zip(self.0).flat_map(of)
    }

    /// Whether the set has a byte above 0x7f.
    pub(super) const fn beyond_ascii(self) -> bool {
        self.0[2] | self.0[3] != 0
    }
}

/// The numbers of the bits that are set, from the lowest.
pub(super) fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        (word != 0).then(|| {
            word &= word - 1;
            bit
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_has_the_same_set() {
        let text: Vec<u8> = (0..=255_u8).step_by(3).cycle().take(400).collect();
        assert_eq!(ByteSet::scan(&text), ByteSet::of(&text));
        assert_eq!(ByteSet::scan(&text[..100]), ByteSet::of(&text[..100]));
    }

    #[test]
    fn a_set_holds_exactly_its_bytes() {
        let set = ByteSet::of(b"a\xff\0");
        assert!(set.has(b'a') && set.has(0xff) && set.has(0) && !set.has(b'b'));
        assert!(set.beyond_ascii());
        let letters = ByteSet::of_any_case(b"aZ[");
        assert_eq!(letters, ByteSet::of(b"aAzZ["));
        assert!(set.meets(ByteSet::of(b"xa")) && !set.meets(ByteSet::of(b"xyz")));
        assert_eq!(set.bytes().collect::<Vec<_>>(), b"\0a\xff");
        assert_eq!(ByteSet::all().bytes().count(), 256);
    }
}
