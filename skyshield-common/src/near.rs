//! What says of most addresses, at a glance, that no ban is anywhere near.
//!
//! For IPv4's prefixes a bit for each /18, and behind it one for each /24; for the widest of IPv6 one for each /16. For
//! IPv4's hosts, and for what else there is of IPv6, a filter of 64-bit words: what was put in is always found, and of what was not a few in a
//! hundred are. They only ever send a packet to the tables that know; none decides. Another says likewise
//! of the allow list, which is looked up in vain for most of what is dropped.
//!
//! What counts is how little of a processor's cache they take: a packet of a source that was never seen
//! before looks at a word of each.

use crate::Address;
use crate::host::{Hash, first, mix};

/// The address itself may be banned or listed.
pub const HOSTS: usize = 1;
/// A banned prefix may hold the address.
pub const PREFIXES: usize = 2;

/// Words of the table for IPv4's prefixes, 32 KiB and 2 MiB: those of the /18s, then those of the /24s.
pub const V4_WORDS: u32 = V4_WIDE_WORDS + (1 << 18);
const V4_WIDE_WORDS: u32 = 1 << 12;
/// Words of the tables for IPv6, 2 MiB and 8 KiB: those of the filter, then a bit for each /16.
pub const V6_WORDS: u32 = V6_FILTER_WORDS + (1 << 10);
const V6_FILTER_WORDS: u32 = 1 << 18;

/// Words of what says where the allow list is: a bit for each /16 of IPv4, and as many that the /32s of
/// IPv6 are spread over. 16 KiB, which a processor keeps near.
pub const ALLOWED_WORDS: u32 = 2 * ALLOWED_HALF;
/// Those of one family.
pub const ALLOWED_HALF: u32 = 1 << 10;

/// The word of an address that may be allowed, and its bit.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "masked")]
pub const fn allowed(address: Address) -> (u32, u64) {
    if let Some(address) = address.v4() {
        return (address >> 22, 1 << (address >> 16 & 63));
    }
    let hash = mix(address.high >> 32) as u32;
    (ALLOWED_HALF + (hash >> 6 & (ALLOWED_HALF - 1)), 1 << (hash & 63))
}

/// Words of the filter for the IPv4 hosts that so many [buckets](crate::host::bucket_count) have room for: a
/// byte for each, or two thirds of one where they are as full as can be. None where there is a
/// [roster](crate::roster), which says the same.
pub const fn host_words(buckets: u32) -> u32 {
    if crate::roster::line_count(buckets) > 0 { 0 } else { buckets / 2 }
}

/// The word of an IPv4 host in a filter of `mask` + 1, and the bits that are all set in it if the host was
/// put in.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the mask is smaller")]
pub const fn host_v4(hash: Hash, mask: u32) -> (u32, u64) {
    let mixed = hash.mixed();
    let bits = 1 << (mixed >> 58) | 1 << (mixed >> 52 & 63) | 1 << (mixed >> 46 & 63);
    (hash.first() as u32 & mask, bits)
}

/// The word of an IPv4 address's /18, and its bit.
#[inline]
pub const fn wide_v4(address: u32) -> (u32, u64) {
    let network = address >> 14;
    (network >> 6, 1 << (network & 63))
}

/// The word of an IPv4 address's /24, and its bit.
#[inline]
pub const fn v4(address: u32) -> (u32, u64) {
    let network = address >> 8;
    (V4_WIDE_WORDS + (network >> 6), 1 << (network & 63))
}

/// Under which part of an address something was put into the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// All of it: an address.
    Host,
    /// The first 64 bits: prefixes of 64 and longer.
    P64,
    /// The first 48 bits: prefixes of 48 to 63.
    P48,
    /// The first 32 bits: prefixes of 20 to 47, of which those below 32 are put in as all their [`parts`].
    P32,
    /// The first 16 bits, which have a bit of their own: shorter prefixes, put in as all their parts.
    Wide,
}

impl Depth {
    /// Every depth of prefixes that has entries of its own.
    pub const OF_PREFIXES: [Self; 4] = [Self::P64, Self::P48, Self::P32, Self::Wide];

    /// The depth of a prefix of this length.
    pub const fn of_prefix(len: u8) -> Self {
        match len {
            64.. => Self::P64,
            48.. => Self::P48,
            WIDEST.. => Self::P32,
            _ => Self::Wide,
        }
    }

    /// Its bit among those that are present.
    #[inline]
    pub const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// The shortest prefix that is put in as /32s.
const WIDEST: u8 = 20;

/// As what a prefix is put in at its depth: so many prefixes of so many bits.
pub const fn parts(len: u8) -> (u64, u8) {
    match len {
        64.. => (1, 64),
        48.. => (1, 48),
        32.. => (1, 32),
        WIDEST.. => (1 << (32 - len), 32),
        16.. => (1, 16),
        _ => (1 << (16 - len), 16),
    }
}

/// The word of an address at a depth, and the bits that are all set in it if it was put in.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "masked")]
pub const fn v6(address: Address, depth: Depth) -> (u32, u64) {
    let Address { high, low } = address;
    let key = match depth {
        Depth::Wide => {
            let network = (high >> 48) as u32;
            return (V6_FILTER_WORDS + (network >> 6), 1 << (network & 63));
        }
        Depth::Host => mix(low) ^ high.rotate_left(1),
        Depth::P64 => high,
        Depth::P48 => high >> 16 | 1 << 62,
        Depth::P32 => high >> 32 | 1 << 63,
    };
    let hash = mix(key);
    let bits = 1 << (hash >> 58) | 1 << (hash >> 52 & 63) | 1 << (hash >> 46 & 63) | 1 << (hash >> 40 & 63);
    (first(key) as u32 & (V6_FILTER_WORDS - 1), bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_address_is_found_under_every_prefix_of_it(bits: u128, len in 0_u8..128, other: u128) {
            let keep = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
            let inside = bits & keep | other & !keep;
            let depth = Depth::of_prefix(len);
            let words = |bits: u128| v6(Address::from_octets(bits.to_be_bytes()), depth);
            let (count, of) = parts(len);
            let part = |n: u64| words(bits & keep | u128::from(n) << (128 - u32::from(of)));
            prop_assert!((0..count).any(|n| part(n) == words(inside)));
            prop_assert!(words(inside).0 < V6_WORDS);
        }

        #[test]
        fn what_is_allowed_together_has_one_bit(address: u32, other: u32, high: u64, low: u64) {
            let v4 = |bits: u32| allowed(Address::from_v4(bits));
            prop_assert_eq!(v4(address), v4(address & !0xffff | other & 0xffff));
            let v6 = |high: u64, low: u64| allowed(Address { high: high | 1 << 63, low });
            prop_assert_eq!(v6(high, low), v6(high ^ u64::from(other), !low));
            prop_assert!(v4(address).0 < ALLOWED_HALF);
            prop_assert!((ALLOWED_HALF..ALLOWED_WORDS).contains(&v6(high, low).0));
        }

        #[test]
        fn a_network_has_bits_of_its_own(address: u32) {
            let wide = wide_v4(address);
            prop_assert!(wide.0 < V4_WIDE_WORDS && (V4_WIDE_WORDS..V4_WORDS).contains(&v4(address).0));
            prop_assert_eq!((wide, v4(address)), (wide_v4(address & !0x3fff), v4(address & !0xff)));
            prop_assert_ne!(v4(address), v4(address ^ 0x100));
            prop_assert_ne!(wide, wide_v4(address ^ 0x4000));
        }
    }

    #[test]
    fn few_hosts_are_found_that_were_not_put_in() {
        const HOSTS: u32 = 1 << 18;
        let mask = host_words(crate::host::bucket_count(HOSTS)) - 1;
        let mut words = std::vec![0_u64; mask as usize + 1];
        let is_found = |words: &[u64], n: u32| {
            let (word, bits) = host_v4(Hash::of(n.wrapping_mul(0x9e37_79b1)), mask);
            words[word as usize] & bits == bits
        };
        for n in 0..HOSTS {
            let (word, bits) = host_v4(Hash::of(n.wrapping_mul(0x9e37_79b1)), mask);
            words[word as usize] |= bits;
        }
        assert!((0..HOSTS).all(|n| is_found(&words, n)));
        let wrong = (HOSTS..HOSTS + 100_000).filter(|n| is_found(&words, *n)).count();
        assert!(wrong < 5_000, "{wrong} of 100000");
    }

    #[test]
    fn few_are_found_that_were_not_put_in() {
        let mut words = std::vec![0_u64; V6_WORDS as usize];
        let put = |n: u64| Address { high: mix(n), low: mix(!n) };
        for n in 0..1_000_000 {
            let (word, bits) = v6(put(n), Depth::Host);
            words[word as usize] |= bits;
        }
        let found = |n| {
            let (word, bits) = v6(put(n), Depth::Host);
            words[word as usize] & bits == bits
        };
        assert!((0..1_000).all(&found));
        let wrong = (2_000_000..2_100_000).filter(|n| found(*n)).count();
        assert!(wrong < 1_500, "{wrong} of 100000");
    }
}
