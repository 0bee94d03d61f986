//! What is decided of places (countries, the networks of providers), by prefix, as it lies in
//! [`PLACES_V4`](crate::maps::PLACES_V4) and [`PLACES_V6`](crate::maps::PLACES_V6).
//!
//! Each map holds two generations of *edges*: the addresses at which the policy becomes another, rising,
//! the first of them the lowest address there is. One word of the [`Settings`](crate::Settings) names
//! the generation in force in both maps.

use crate::Rate;

/// Policies at most; 0 is none.
pub const POLICIES: u32 = 256;
/// Words of a policy in front of the edges: what it does, and the two of its rate.
const POLICY_WORDS: u32 = 3;
/// Words of the index behind the policies: for each /16, and for what would follow the last, the last
/// edge that is not behind its first address.
const INDEX: u32 = (1 << 16) + 1;
/// Words in front of a generation's IPv4 edges: their number, the policies, the index.
pub const HEAD_V4: u32 = 1 + POLICIES * POLICY_WORDS + INDEX;
/// Words of an IPv6 edge: the address, upper half first, and the policy.
pub const WORDS_V6: usize = 3;
/// Edges in front of a generation's IPv6 edges: the number of those.
pub const HEAD_V6: u32 = 1;
/// Steps in which half of what is left ends at one of 2^24, which is more than a map may hold.
pub const STEPS: u32 = 25;

/// What is done about packets from a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// See [`act`].
    pub act: u64,
    /// The rate of each source there, where it has none of its own.
    pub rate: Rate,
}

/// Bits of [`Policy::act`].
pub mod act {
    /// They are dropped.
    pub const BAN: u64 = 1;
    /// Nothing is done but counting.
    pub const DRY_RUN: u64 = 1 << 1;
}

/// A generation: where it begins in the one map, and in the other, both at 1 or above; 0 is none.
#[inline]
pub const fn generation(base_v4: u32, base_v6: u32) -> u64 {
    (base_v4 as u64) << 32 | base_v6 as u64
}

/// Where it begins in the map of IPv4.
#[inline]
pub const fn base_v4(generation: u64) -> u32 {
    (generation >> 32) as u32
}

/// Where it begins in the map of IPv6.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
pub const fn base_v6(generation: u64) -> u32 {
    generation as u32
}

/// The first word of a policy.
#[inline]
pub const fn policy_at(base_v4: u32, policy: u32) -> u32 {
    base_v4.wrapping_add(1 + (policy & (POLICIES - 1)) * POLICY_WORDS)
}

/// The word of the index for a /16.
#[inline]
pub const fn index_at(base_v4: u32, network: u32) -> u32 {
    base_v4.wrapping_add(1 + POLICIES * POLICY_WORDS + network)
}

/// The word of an IPv4 edge.
#[inline]
pub const fn edge_at(base_v4: u32, edge: u32) -> u32 {
    base_v4.wrapping_add(HEAD_V4 + edge)
}

/// From this IPv4 address on, this policy.
#[inline]
pub const fn edge_v4(first: u32, policy: u32) -> u64 {
    (first as u64) << 32 | policy as u64
}

/// The first address of an IPv4 edge.
#[inline]
pub const fn first_v4(edge: u64) -> u32 {
    (edge >> 32) as u32
}

/// The policy of an IPv4 edge.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
pub const fn policy_v4(edge: u64) -> u32 {
    edge as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn halves_come_back_as_they_went_in(one: u32, other: u32) {
            prop_assert_eq!((base_v4(generation(one, other)), base_v6(generation(one, other))), (one, other));
            prop_assert_eq!((first_v4(edge_v4(one, other)), policy_v4(edge_v4(one, other))), (one, other));
        }
    }

    #[test]
    fn a_generation_s_parts_follow_one_another() {
        assert_eq!(policy_at(1, POLICIES - 1) + POLICY_WORDS, index_at(1, 0));
        assert_eq!(index_at(1, (1 << 16) + 1), edge_at(1, 0));
        assert_eq!(policy_at(1, POLICIES), policy_at(1, 0), "no policy lies behind the last");
    }
}
