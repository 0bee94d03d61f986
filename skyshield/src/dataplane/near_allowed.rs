//! Where the allow list is, for the program to see at a glance that it is not.

use std::path::Path;

use ipnet::IpNet;
use skyshield_common::near::{self, ALLOWED_HALF, ALLOWED_WORDS};
use skyshield_common::{Address, maps as names};

use super::error::Error;
use super::shared::Shared;

/// Bits are set when something comes and stay when it goes, until the daemon starts anew: one too many
/// costs a look at the list, and one too few would drop who is allowed.
pub(super) struct NearAllowed {
    words: Shared,
    any: bool,
}

impl NearAllowed {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self { words: Shared::open(dir, names::NEAR_ALLOWED)?, any: false })
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    pub(super) fn add(&mut self, prefix: IpNet) {
        self.any = true;
        mark(prefix, |word, bits| self.words.set(word, bits));
    }

    /// Computes every bit anew. What is there before and after is there throughout.
    pub(super) fn rebuild(&mut self, allowed: &[IpNet]) {
        self.any = !allowed.is_empty();
        let mut words = vec![0; ALLOWED_WORDS as usize];
        for prefix in allowed {
            mark(*prefix, |word, bits| words[word] |= bits);
        }
        for (at, word) in words.into_iter().enumerate() {
            if self.words.load(at) != word {
                self.words.store(at, word);
            }
        }
    }
}

/// Gives `set` the bits of everything in a prefix.
fn mark(prefix: IpNet, mut set: impl FnMut(usize, u64)) {
    const NETWORK_BITS_V4: u8 = 16;
    const NETWORK_BITS_V6: u8 = 32;
    match prefix {
        IpNet::V4(net) => {
            let networks = 1_u32 << NETWORK_BITS_V4.saturating_sub(net.prefix_len());
            for network in 0..networks {
                let address = net.network().to_bits() + (network << NETWORK_BITS_V4);
                let (word, bit) = near::allowed(Address::from_v4(address));
                set(word as usize, bit);
            }
        }
        IpNet::V6(net) if net.prefix_len() >= NETWORK_BITS_V6 => {
            let (word, bit) = near::allowed(Address::from_octets(net.network().octets()));
            set(word as usize, bit);
        }
        // Spread over all of them.
        IpNet::V6(_) => (ALLOWED_HALF..ALLOWED_WORDS).for_each(|word| set(word as usize, u64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_a_prefix_holds_has_its_bit(bits: u128, host: u128, is_v6: bool, len in 0_u8..=128) {
            let (prefix, inside): (IpNet, Address) = if is_v6 {
                let net = ipnet::Ipv6Net::new_assert(bits.into(), len).trunc();
                let low = host.checked_shr(len.into()).unwrap_or_default();
                (net.into(), Address::from_octets((u128::from(net.network()) | low).to_be_bytes()))
            } else {
                let [a, b, c, d, ..] = bits.to_be_bytes();
                let [e, f, g, h, ..] = host.to_be_bytes();
                let net = ipnet::Ipv4Net::new_assert([a, b, c, d].into(), len % 33).trunc();
                let low = u32::from_be_bytes([e, f, g, h]).checked_shr((len % 33).into());
                (net.into(), Address::from_v4(net.network().to_bits() | low.unwrap_or_default()))
            };
            let (word, bit) = near::allowed(inside);
            let mut found = false;
            mark(prefix, |at, bits| found |= at == word as usize && bits & bit != 0);
            // An IPv6 prefix of mapped addresses stands in the list as the IPv4 one it is.
            prop_assert!(found || (is_v6 && inside.v4().is_some()));
        }
    }
}
