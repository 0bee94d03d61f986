//! A list of addresses and prefixes, aggregated: lone addresses, and ranges with a gap between any two.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::backing::Listed;
use super::enforcer::Replaced;

/// What a list comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// IPv4 addresses that stand alone or in short runs, rising.
    pub(super) hosts: Vec<u32>,
    /// Ranges of IPv4 addresses, first and last, rising.
    pub(super) v4: Vec<(u32, u32)>,
    /// Ranges of IPv6 addresses, first and last, rising.
    pub(super) v6: Vec<(u128, u128)>,
}

/// Addresses in a row that are a range, and not so many hosts: a host takes twice the room, and is
/// found at once.
const RUN: u32 = 8;

impl List {
    /// Aggregates `list`, in any order, with whatever overlaps: of a million some tenths of a second's work.
    #[must_use]
    pub fn of(list: &[IpNet]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in list {
            match net {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        v4.sort_unstable();
        v6.sort_unstable();
        let mut all = Self { v6: merged(&v6, |last| last.checked_add(1)), ..Self::default() };
        for (first, last) in merged(&v4, |last| last.checked_add(1)) {
            let from = v4.partition_point(|range| range.0 < first);
            let is_prefixed =
                v4[from..].iter().take_while(|range| range.0 <= last).any(|range| range.0 != range.1);
            if is_prefixed || last - first >= RUN - 1 {
                all.v4.push((first, last));
            } else {
                all.hosts.extend(first..=last);
            }
        }
        all
    }

    /// How much is on it.
    pub(super) fn listed(&self) -> Listed {
        Listed { hosts: counted(self.hosts.len()), v4: counted(self.v4.len()), v6: counted(self.v6.len()) }
    }

    /// What changes where this takes the place of `before`.
    pub(super) fn replaces(&self, before: &Self) -> Replaced {
        let more_than = |one: &Self, other: &Self| {
            missing_from(&one.hosts, &other.hosts).count()
                + missing_from(&one.v4, &other.v4).count()
                + missing_from(&one.v6, &other.v6).count()
        };
        Replaced { added: counted(more_than(self, before)), removed: counted(more_than(before, self)) }
    }

    /// The ranges as prefixes.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        let v4 = self.v4.iter().flat_map(|(first, last)| {
            Ipv4Subnets::new(Ipv4Addr::from_bits(*first), Ipv4Addr::from_bits(*last), 0).map(IpNet::V4)
        });
        let v6 = self.v6.iter().flat_map(|(first, last)| {
            Ipv6Subnets::new(Ipv6Addr::from_bits(*first), Ipv6Addr::from_bits(*last), 0).map(IpNet::V6)
        });
        v4.chain(v6)
    }

    /// Whether an IPv4 address is in one of the ranges.
    pub(super) fn is_in_range(&self, address: u32) -> bool {
        let after = self.v4.partition_point(|range| range.1 < address);
        self.v4.get(after).is_some_and(|range| range.0 <= address)
    }
}

/// What of `these`, rising, is not in `those`, rising.
pub(super) fn missing_from<A: Copy + Ord>(these: &[A], those: &[A]) -> impl Iterator<Item = A> {
    let mut rest = those.iter().copied().peekable();
    these.iter().copied().filter(move |one| {
        while rest.next_if(|other| other < one).is_some() {}
        rest.peek() != Some(one)
    })
}

/// A number of entries, of which there are 2^32 at the most.
fn counted(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Rising ranges, those that overlap or follow one another as one.
fn merged<A: Copy + Ord>(sorted: &[(A, A)], next: impl Fn(A) -> Option<A>) -> Vec<(A, A)> {
    let mut all: Vec<(A, A)> = Vec::with_capacity(sorted.len());
    for &(first, last) in sorted {
        match all.last_mut() {
            Some(before) if next(before.1).is_none_or(|next| first <= next) => before.1 = before.1.max(last),
            Some(_) | None => all.push((first, last)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use ipnet::{Ipv4Net, Ipv6Net};
    use proptest::prelude::*;

    use super::*;

    fn nets() -> impl Strategy<Value = Vec<IpNet>> {
        // Few bits, so that they meet.
        let v4 = (0_u32..256, 24_u8..=32).prop_map(|(bits, len)| {
            IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(0x0a00_0000 | bits), len).unwrap().trunc())
        });
        let v6 = (0_u128..256, 120_u8..=128)
            .prop_map(|(bits, len)| IpNet::V6(Ipv6Net::new(Ipv6Addr::from_bits(bits), len).unwrap().trunc()));
        prop::collection::vec(prop_oneof![v4, v6], 0..40)
    }

    proptest! {
        #[test]
        fn it_holds_what_was_listed_and_nothing_else(list in nets()) {
            let all = List::of(&list);
            for bits in 0x0a00_0000_u32..0x0a00_0100 {
                let meant = list.iter().any(|net| net.contains(&std::net::IpAddr::V4(bits.into())));
                let held = all.hosts.binary_search(&bits).is_ok() || all.is_in_range(bits);
                prop_assert_eq!(held, meant, "{:x} in {:?}", bits, &list);
            }
            for bits in 0_u128..256 {
                let address = std::net::IpAddr::V6(bits.into());
                let meant = list.iter().any(|net| net.contains(&address));
                prop_assert_eq!(all.v6.iter().any(|range| range.0 <= bits && bits <= range.1), meant);
            }
            prop_assert!(all.v4.windows(2).all(|pair| pair[0].1 < pair[1].0 - 1));
            prop_assert!(all.v6.windows(2).all(|pair| pair[0].1 < pair[1].0 - 1));
            prop_assert!(all.hosts.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn what_covers_everything_is_one_range() {
        let list =
            ["0.0.0.0/0", "::/0", "255.255.255.255/32", "203.0.113.0/24"].map(|net| net.parse().unwrap());
        let all = List::of(&list);
        assert_eq!((all.v4.as_slice(), all.v6.as_slice()), (&[(0, u32::MAX)][..], &[(0, u128::MAX)][..]));
        assert!(all.hosts.is_empty());
        let row: Vec<IpNet> = (0..8).map(|n| format!("203.0.113.{n}/32").parse().unwrap()).collect();
        assert_eq!(List::of(&row).v4, [(0xcb00_7100, 0xcb00_7107)]);
        assert_eq!(List::of(&row[1..]).hosts.len(), 7);
    }
}
