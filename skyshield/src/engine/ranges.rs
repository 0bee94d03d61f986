//! Sets of addresses as rising ranges: what lists come to, joined, cut and asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::source::Source;

/// Addresses of both families. Ranges rise, and there is a gap between any two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Ranges {
    /// The addresses of `nets`, in any order and overlapping; what maps IPv4 into IPv6 is IPv4.
    pub fn of(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let mut all = Self::default();
        for net in nets {
            match Source::prefix(net).as_prefix() {
                IpNet::V4(net) => all.v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => all.v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        all.settled()
    }

    /// The addresses between the firsts and the lasts of `v4` and `v6`, both included.
    pub fn between(v4: Vec<(u32, u32)>, v6: Vec<(u128, u128)>) -> Self {
        Self { v4, v6 }.settled()
    }

    fn settled(mut self) -> Self {
        self.v4.sort_unstable();
        self.v6.sort_unstable();
        Self {
            v4: merged(&self.v4, |last| last.checked_add(1)),
            v6: merged(&self.v6, |last| last.checked_add(1)),
        }
    }

    /// Whether `address` is among them.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => holds(&self.v4, address.to_bits()),
            IpAddr::V6(address) => holds(&self.v6, address.to_bits()),
        }
    }

    /// Whether every address of `net` is among them.
    pub fn covers(&self, net: IpNet) -> bool {
        match Source::prefix(net).as_prefix() {
            IpNet::V4(net) => spans(&self.v4, net.network().to_bits(), net.broadcast().to_bits()),
            IpNet::V6(net) => spans(&self.v6, net.network().to_bits(), net.broadcast().to_bits()),
        }
    }

    /// These and those.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self { v4: [self.v4.as_slice(), &others.v4].concat(), v6: [self.v6.as_slice(), &others.v6].concat() }
            .settled()
    }

    /// These without those.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        Self {
            v4: cut(&self.v4, &others.v4, |one| one.checked_add(1), |one| one.checked_sub(1)),
            v6: cut(&self.v6, &others.v6, |one| one.checked_add(1), |one| one.checked_sub(1)),
        }
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// How many IPv4 addresses these are.
    pub fn addresses_v4(&self) -> u64 {
        self.v4.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
    }

    /// How many IPv6 networks of 64 bits these touch.
    pub fn networks_v6(&self) -> u128 {
        self.v6.iter().map(|(first, last)| (last >> 64) - (first >> 64) + 1).sum()
    }

    /// The fewest prefixes that are exactly these addresses.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> + '_ {
        let v4 = self.v4.iter().flat_map(|(first, last)| {
            Ipv4Subnets::new(Ipv4Addr::from_bits(*first), Ipv4Addr::from_bits(*last), 0).map(IpNet::V4)
        });
        let v6 = self.v6.iter().flat_map(|(first, last)| {
            Ipv6Subnets::new(Ipv6Addr::from_bits(*first), Ipv6Addr::from_bits(*last), 0).map(IpNet::V6)
        });
        v4.chain(v6)
    }
}

fn holds<A: Copy + Ord>(ranges: &[(A, A)], address: A) -> bool {
    spans(ranges, address, address)
}

fn spans<A: Copy + Ord>(ranges: &[(A, A)], first: A, last: A) -> bool {
    let at = ranges.partition_point(|range| range.1 < first);
    ranges.get(at).is_some_and(|range| range.0 <= first && last <= range.1)
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

/// What of `these` is not in `those`.
fn cut<A: Copy + Ord>(
    these: &[(A, A)],
    those: &[(A, A)],
    next: impl Fn(A) -> Option<A>,
    before: impl Fn(A) -> Option<A>,
) -> Vec<(A, A)> {
    let mut left = Vec::with_capacity(these.len());
    let mut from = 0;
    for &(first, last) in these {
        // Both rise: what ended before this range ends before the next one.
        while those.get(from).is_some_and(|hole| hole.1 < first) {
            from += 1;
        }
        let mut rest = Some(first);
        for hole in those[from..].iter().take_while(|hole| hole.0 <= last) {
            let Some(start) = rest else { break };
            if start < hole.0
                && let Some(end) = before(hole.0)
            {
                left.push((start, end));
            }
            rest = next(hole.1).map(|after| after.max(start));
        }
        if let Some(start) = rest.filter(|start| *start <= last) {
            left.push((start, last));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nets() -> impl Strategy<Value = Vec<IpNet>> {
        // Few bits at the ends of the space, so that they meet each other and the ends.
        let v4 = (0_u32..64, 24_u8..=32, any::<bool>()).prop_map(|(bits, len, high)| {
            let base = if high { 0xffff_ff00 } else { 0 };
            IpNet::new(Ipv4Addr::from_bits(base | bits).into(), len).unwrap()
        });
        let v6 = (0_u128..64, 120_u8..=128)
            .prop_map(|(bits, len)| IpNet::new(Ipv6Addr::from_bits(1 << 127 | bits).into(), len).unwrap());
        prop::collection::vec(prop_oneof![v4, v6], 0..20)
    }

    fn points() -> impl Iterator<Item = IpAddr> {
        let v4 = (0..=255).chain(0xffff_ff00..=u32::MAX).map(|bits| IpAddr::V4(bits.into()));
        v4.chain((0..256).map(|bits| IpAddr::V6((1_u128 << 127 | bits).into())))
    }

    fn meant(nets: &[IpNet], address: IpAddr) -> bool {
        nets.iter().any(|net| net.contains(&address))
    }

    proptest! {
        #[test]
        fn sets_are_joined_and_cut_as_their_addresses_are(these in nets(), those in nets()) {
            let (one, other) = (Ranges::of(these.clone()), Ranges::of(those.clone()));
            let (both, rest) = (one.and(&other), one.without(&other));
            for address in points() {
                let (here, there) = (meant(&these, address), meant(&those, address));
                prop_assert_eq!(one.contains(address), here);
                prop_assert_eq!(both.contains(address), here || there);
                prop_assert_eq!(rest.contains(address), here && !there, "{}", address);
            }
            prop_assert_eq!(Ranges::of(rest.prefixes()), rest.clone());
            prop_assert_eq!(one.without(&one), Ranges::default());
            for net in &these {
                prop_assert!(one.covers(*net));
            }
        }
    }

    #[test]
    fn what_is_counted_is_addresses_and_not_prefixes() {
        let nets = ["10.0.0.0/24", "10.0.0.128/25", "::ffff:10.0.1.0/120", "2001:db8::/48", "0.0.0.0/32"];
        let ranges = Ranges::of(nets.iter().map(|net| net.parse().unwrap()));
        assert_eq!((ranges.addresses_v4(), ranges.networks_v6(), ranges.len()), (513, 1 << 16, 3));
        let all = Ranges::of(["0.0.0.0/0".parse().unwrap()]);
        assert_eq!(all.addresses_v4(), 1 << 32);
        assert!(all.without(&all).is_empty());
    }
}
