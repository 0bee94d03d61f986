//! How a source address becomes a key of a map.

/// An address as it stands in a packet, in network order, canonical: an IPv4-mapped IPv6 address
/// is the IPv4 address it maps, so that no source escapes its ban by the other spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// IPv4.
    V4([u8; 4]),
    /// IPv6.
    V6([u8; 16]),
}

impl Address {
    /// The canonical form of an IPv6 address.
    #[inline]
    pub const fn from_v6(bytes: [u8; 16]) -> Self {
        let whole = u128::from_be_bytes(bytes);
        if whole >> 32 == 0xffff {
            let [.., a, b, c, d] = bytes;
            Self::V4([a, b, c, d])
        } else {
            Self::V6(bytes)
        }
    }

    /// What the source's rate is kept under.
    #[inline]
    pub const fn rate_key(self) -> RateKey {
        match self {
            Self::V4(address) => RateKey((0xffff << 32 | u32::from_be_bytes(address) as u128).to_be_bytes()),
            // A host owns its /64: by /128 it would have 2^64 budgets.
            Self::V6(address) => RateKey((u128::from_be_bytes(address) >> 64 << 64).to_be_bytes()),
        }
    }
}

impl Address {
    /// The source, in 64 bits, that its rates are kept for.
    #[inline]
    pub const fn rate_source(self) -> u64 {
        match self {
            // No IPv6 host has such a network.
            Self::V4(address) => 0xffff << 32 | u32::from_be_bytes(address) as u64,
            Self::V6(address) => (u128::from_be_bytes(address) >> 64) as u64,
        }
    }

    /// The network around the source, in 64 bits: its /24 or /48.
    #[inline]
    pub const fn rate_network(self) -> u64 {
        match self {
            Self::V4(_) => self.rate_source() >> 8,
            Self::V6(_) => self.rate_source() >> 16,
        }
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
        fn canonical_as_the_standard_library_has_it(bits: u128, mapped: bool) {
            let bits = if mapped { (bits & 0xffff_ffff) | 0xffff_0000_0000 } else { bits };
            let address = Ipv6Addr::from(bits);
            let expected = match address.to_ipv4_mapped() {
                Some(v4) => Address::V4(v4.octets()),
                None => Address::V6(address.octets()),
            };
            prop_assert_eq!(Address::from_v6(address.octets()), expected);
        }

        #[test]
        fn one_v6_network_has_one_rate(network: u64, one: u64, other: u64) {
            let address = |host| {
                Address::V6(Ipv6Addr::from(u128::from(network) << 64 | u128::from(host)).octets())
            };
            prop_assert_eq!(address(one).rate_key(), address(other).rate_key());
        }

        #[test]
        fn no_v4_address_shares_a_rate(one: u32, other: u32) {
            let key = |bits| Address::V4(Ipv4Addr::from_bits(bits).octets()).rate_key();
            prop_assert_eq!(one == other, key(one) == key(other));
        }
    }
}
