//! How a source address becomes a key of a map.

/// An address as a number in two words, of the same value as its bytes in network order. IPv4 is
/// mapped into IPv6, so that each source has one spelling and no ban is escaped by the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The first 64 bits.
    pub high: u64,
    /// The last.
    pub low: u64,
}

/// What stands before an IPv4 address in the lower word.
const MAPPED: u64 = 0xffff << 32;

impl Address {
    /// An IPv4 address.
    #[inline]
    pub const fn from_v4(address: u32) -> Self {
        Self { high: 0, low: MAPPED | address as u64 }
    }

    /// An address of either family, by its IPv6 bytes.
    #[inline]
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        let whole = u128::from_be_bytes(octets);
        #[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
        let (high, low) = ((whole >> 64) as u64, whole as u64);
        Self { high, low }
    }

    /// Its IPv6 bytes.
    #[inline]
    pub const fn octets(self) -> [u8; 16] {
        ((self.high as u128) << 64 | self.low as u128).to_be_bytes()
    }

    /// The address, if it is IPv4.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "compared first")]
    pub const fn v4(self) -> Option<u32> {
        if self.high == 0 && self.low >> 32 == MAPPED >> 32 { Some(self.low as u32) } else { None }
    }

    /// What the source's rate is kept under: an IPv6 host owns its /64, and by /128 it would have 2^64
    /// budgets.
    #[inline]
    pub const fn rate_key(self) -> RateKey {
        let source = if self.v4().is_some() { self } else { Self { high: self.high, low: 0 } };
        RateKey(source.octets())
    }

    /// The source, in 64 bits, that its rates are kept for. No IPv6 host has a network that begins with as many zeros as
    /// an IPv4 address has before it.
    #[inline]
    pub const fn rate_source(self) -> u64 {
        match self.v4() {
            Some(address) => address as u64,
            None => self.high,
        }
    }

    /// The network around the source, in 64 bits: its /24 or /48.
    #[inline]
    pub const fn rate_network(self) -> u64 {
        if self.v4().is_some() { self.low >> 8 } else { self.high >> 16 }
    }
}

/// The key of a shape: an IPv4 address, mapped, or an IPv6 /64.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateKey(pub [u8; 16]);

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn mapped_as_the_standard_library_has_it(bits: u128, mapped: bool) {
            let bits = if mapped { (bits & 0xffff_ffff) | 0xffff_0000_0000 } else { bits };
            let address = Ipv6Addr::from(bits);
            let ours = Address::from_octets(address.octets());
            prop_assert_eq!(ours.v4().map(Ipv4Addr::from_bits), address.to_ipv4_mapped());
            prop_assert_eq!(ours.octets(), address.octets());
            if let Some(v4) = address.to_ipv4_mapped() {
                prop_assert_eq!(ours, Address::from_v4(v4.to_bits()));
            }
        }

        #[test]
        fn one_v6_network_has_one_rate(network: u64, one: u64, other: u64) {
            let address = |host| {
                Address { high: network | 1 << 63, low: host }
            };
            prop_assert_eq!(address(one).rate_key(), address(other).rate_key());
            prop_assert_eq!(address(one).rate_source(), address(other).rate_source());
        }

        #[test]
        fn no_v4_address_shares_a_rate(one: u32, other: u32) {
            let key = |bits| Address::from_v4(bits).rate_key();
            prop_assert_eq!(one == other, key(one) == key(other));
        }
    }
}
