//! Listed prefixes as they lie in [`RANGES_V4`](crate::maps::RANGES_V4) and
//! [`RANGES_V6`](crate::maps::RANGES_V6): aggregated to ranges of addresses, in rising order, with a
//! gap between any two.
//!
//! Each map holds two generations. The one in force is named by one word of the
//! [`Settings`](crate::Settings), so that a list gives way to the next between two packets.

/// Words in front of a generation's IPv4 ranges: for each /16, and for what would follow the last,
/// the first range that ends there or later.
pub const INDEX_V4: u32 = (1 << 16) + 1;
/// Words of an IPv6 range: the first address and the last, upper half first.
pub const WORDS_V6: usize = 4;
/// Steps in which half of what is left ends at one of 2^24, which is more than a map may hold.
pub const STEPS: u32 = 25;

/// A generation: where it begins in its map, and how many ranges it has; 0 is none.
#[inline]
pub const fn generation(base: u32, count: u32) -> u64 {
    (base as u64) << 32 | count as u64
}

/// Where a generation begins.
#[inline]
pub const fn base(generation: u64) -> u32 {
    (generation >> 32) as u32
}

/// How many ranges it has.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
pub const fn count(generation: u64) -> u32 {
    generation as u32
}

/// A range of IPv4 addresses in one word.
#[inline]
pub const fn v4(first: u32, last: u32) -> u64 {
    (first as u64) << 32 | last as u64
}

/// The first address of a range.
#[inline]
pub const fn first_v4(range: u64) -> u32 {
    (range >> 32) as u32
}

/// The last address of a range.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
pub const fn last_v4(range: u64) -> u32 {
    range as u32
}

/// How much a generation of so many IPv4 ranges takes, in words.
pub const fn words_v4(ranges: u32) -> u32 {
    INDEX_V4 + ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn halves_come_back_as_they_went_in(one: u32, other: u32) {
            prop_assert_eq!((base(generation(one, other)), count(generation(one, other))), (one, other));
            prop_assert_eq!((first_v4(v4(one, other)), last_v4(v4(one, other))), (one, other));
        }
    }
}
