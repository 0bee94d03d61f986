//! What the program notes of a source that it has looked up and found clear, so as not to look it up again: it was
//! neither banned nor listed, near no prefix that is, and no packet is odd for coming from it.
//!
//! A clearance is one word, and lies in the line of the processor's cache in which the source has its rate. It names
//! the source and the epoch: the daemon begins another after whatever may have made a ban, a list or a place meet a
//! source that none met before, and whoever looks up a source has asked for the epoch first. So a clearance of the
//! epoch in force is right.

use crate::Address;

/// The clearance of a source with this [hash](crate::rate::hash) in this epoch.
///
/// Of IPv4 it has the whole address, and the epoch: after 2^32 of them, without a packet in between, one would be taken
/// for the other. Of IPv6 no two addresses of a network have the same in one epoch; those of other networks, and of
/// other epochs, are told apart by 64 bits of what the hash makes of the network and the epoch. The hash is secret: a
/// sum of epoch and address alone would tell its owner with which address to come back after a ban.
#[inline]
pub const fn clearance(source: Address, hash: u64, epoch: u64) -> u64 {
    match source.v4() {
        Some(address) => (address as u64) << 32 | epoch,
        // Both factors are odd, so that they can be taken back.
        None => hash.wrapping_mul(epoch << 1 | 1).wrapping_add(source.low.wrapping_mul(FACTOR)),
    }
}

const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

/// The epoch after this one, of 32 bits. 0 is none: a bucket begins with it.
#[must_use]
pub const fn next(epoch: u64) -> u64 {
    if epoch < u32::MAX as u64 { epoch + 1 } else { 1 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rate;

    fn of(source: Address, epoch: u64) -> u64 {
        clearance(source, rate::hash(source.rate_source(), 0, 7), epoch)
    }

    proptest! {
        #[test]
        fn no_two_addresses_of_ipv4_and_no_two_epochs_share_one(
            (address, other) in any::<(u32, u32)>(),
            (epoch, later) in any::<(u32, u32)>(),
        ) {
            let source = Address::from_v4(address);
            let (epoch, later) = (u64::from(epoch), u64::from(later));
            prop_assert_eq!(of(source, epoch) == of(Address::from_v4(other), epoch), address == other);
            prop_assert_eq!(of(source, epoch) == of(source, later), epoch == later);
        }

        #[test]
        fn no_two_addresses_of_a_network_share_one(
            (high, low, other) in (1_u64.., any::<u64>(), any::<u64>()),
            (epoch, later) in any::<(u64, u64)>(),
        ) {
            let source = Address { high, low };
            prop_assert_eq!(of(source, epoch) == of(Address { high, low: other }, epoch), low == other);
            prop_assert_eq!(of(source, epoch) == of(source, later), epoch == later);
        }

        #[test]
        fn no_step_leads_from_one_epoch_s_to_the_next(
            (high, low, other) in (1_u64.., any::<u64>(), any::<u64>()),
            (epoch, epochs) in (1_u64..1 << 31, 1_u64..1 << 10),
        ) {
            // The address that has in a later epoch what another had in this one is as far from it in one network as in
            // the next, where the two can be told from epochs and addresses.
            let step = |high: u64| {
                let [before, after] = [epoch, epoch + epochs].map(|epoch| of(Address { high, low }, epoch));
                before.wrapping_sub(after)
            };
            prop_assume!(high != other && Address { high: other, low }.v4().is_none());
            prop_assert_ne!(step(high), step(other));
        }

        #[test]
        fn another_network_has_others((high, low, other) in any::<(u64, u64, u64)>(), bit in 0_u32..64) {
            let near = Address { high: high ^ 1_u64 << bit, low: other };
            prop_assume!(Address { high, low }.v4().is_none() && near.v4().is_none());
            prop_assert_ne!(of(Address { high, low }, 1), of(near, 1));
        }
    }

    #[test]
    fn no_epoch_is_what_a_bucket_begins_with() {
        assert_eq!(
            [0, 1, u64::from(u32::MAX) - 1, u64::from(u32::MAX)].map(next),
            [1, 2, u64::from(u32::MAX), 1]
        );
        assert_ne!(of(Address::from_v4(0), next(0)), 0);
    }
}
