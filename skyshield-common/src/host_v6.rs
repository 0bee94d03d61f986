//! Banned IPv6 addresses as they lie in [`HOSTS_V6`](crate::maps::HOSTS_V6): a flat table of buckets, each one line of
//! the processor's cache.
//!
//! An address is two words, and nobody reads it with its [`Hold`] in one piece. So a slot is emptied before it is given
//! to another address, and the bucket's turn says that it was: who finds the turn unchanged behind an address has read
//! that address and its own hold. Where a processor does not keep to the order of reads, a packet that is judged at the
//! moment a slot changes hands may meet the hold of an address that it shares a half with.
//!
//! An address has two buckets to be in; one that fits into neither is looked for in
//! [`BANS_V6`](crate::maps::BANS_V6), where all are.

use crate::Address;
use crate::host::{Hold, mix};

/// Slots of a bucket.
pub const SLOTS: usize = 3;
/// Words of a bucket.
pub const WORDS: usize = 8;

/// A bucket as it lies in the map: the addresses of its slots, two words each, and its [`Holds`].
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket(pub [u64; WORDS]);

/// Where in its bucket the address of a slot begins.
#[inline]
pub const fn address_at(slot: usize) -> usize {
    slot * 2
}

/// The last two words of a bucket: the hold of each slot, and the turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds(pub [u64; 2]);

impl Holds {
    /// Where in a bucket they begin. The one behind, with the turn, is read before it.
    pub const AT: usize = 2 * SLOTS;

    /// The hold of a slot.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    pub const fn of(self, slot: usize) -> Hold {
        Hold::from_bits((self.0[slot / 2] >> shift(slot)) as u32)
    }

    /// The same with this hold of a slot.
    #[must_use]
    pub const fn with(mut self, slot: usize, hold: Hold) -> Self {
        let others = self.0[slot / 2] & !((u32::MAX as u64) << shift(slot));
        self.0[slot / 2] = others | (hold.bits() as u64) << shift(slot);
        self
    }

    /// The same at the next turn: a slot is about to be given to another address.
    #[must_use]
    pub const fn at_next_turn(mut self) -> Self {
        self.0[1] = self.0[1].wrapping_add(1 << 32);
        self
    }
}

/// Where in its word the hold of a slot is; behind the last is the turn.
const fn shift(slot: usize) -> usize {
    slot % 2 * 32
}

/// The two buckets an address may be in, of `mask` + 1. Without the seed nobody finds addresses that share theirs.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the mask is smaller")]
pub const fn buckets(address: Address, seed: u64, mask: u32) -> (u32, u32) {
    let hash = mix(address.low ^ mix(address.high ^ seed));
    (hash as u32 & mask, (hash >> 32) as u32 & mask)
}

/// Whether an address goes into the first of its buckets, by how many slots are free in each: where most are found by
/// one look, and few fit into neither.
pub const fn prefers_first(free: (usize, usize)) -> bool {
    free.0 > 1 || free.0 >= free.1
}

/// How many buckets a table for so many addresses has: never more than two thirds full.
pub const fn bucket_count(addresses: u32) -> u32 {
    const LEAST: u32 = 64;
    let buckets = addresses.div_ceil(2).next_power_of_two();
    if buckets < LEAST { LEAST } else { buckets }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_table_has_room_to_spare_and_is_not_wasteful() {
        assert_eq!(bucket_count(0), 64);
        assert_eq!(bucket_count(1_000_000), 1 << 19);
        assert_eq!(bucket_count(1 << 24), 1 << 23);
        assert_eq!(bucket_count(u32::MAX), 1 << 31);
    }

    proptest! {
        #[test]
        fn a_hold_is_changed_beside_the_others(words: [u64; 2], slot in 0..SLOTS, bits: u32) {
            let (before, hold) = (Holds(words), Hold::from_bits(bits));
            let after = before.with(slot, hold);
            for other in 0..SLOTS {
                prop_assert_eq!(after.of(other), if other == slot { hold } else { before.of(other) });
            }
            prop_assert_eq!(after.with(slot, before.of(slot)), before);
        }

        #[test]
        fn a_turn_changes_no_hold(words: [u64; 2]) {
            let (before, after) = (Holds(words), Holds(words).at_next_turn());
            prop_assert_ne!(before.0[1], after.0[1]);
            prop_assert!((0..SLOTS).all(|slot| before.of(slot) == after.of(slot)));
        }

        #[test]
        fn an_address_has_buckets_of_the_table(high: u64, low: u64, seed: u64, mask_bits in 0_u32..32) {
            let (first, second) = buckets(Address { high, low }, seed, (1 << mask_bits) - 1);
            prop_assert!(u64::from(first) >> mask_bits == 0 && u64::from(second) >> mask_bits == 0);
        }
    }

    #[test]
    fn a_full_table_has_few_that_fit_into_no_bucket() {
        const ADDRESSES: u32 = 1 << 17;
        let count = bucket_count(ADDRESSES);
        let mut free = std::vec![SLOTS; count as usize];
        let mut beside = 0;
        for n in 0..ADDRESSES {
            // The hosts of one network, one after another.
            let (first, second) = buckets(Address { high: 7, low: n.into() }, 5, count - 1);
            let (first, second) = (first as usize, second as usize);
            let bucket = if prefers_first((free[first], free[second])) { first } else { second };
            match free[bucket].checked_sub(1) {
                Some(left) => free[bucket] = left,
                None => beside += 1,
            }
        }
        assert!(beside * 50 < ADDRESSES, "{beside}");
    }
}
