//! Banned prefixes, and for each the ban it would hide.
//!
//! The kernel's longest-prefix match stops at the innermost entry. When that one has ended, or ends
//! before the daemon can sweep it, an outer ban must still hold: each entry carries the outer ban
//! with the latest deadline. Here is the arithmetic of it, without a kernel.

use std::collections::BTreeMap;

use ipnet::IpNet;
use skyshield_common::{Ban, PrefixBan};

/// The prefixes as the kernel's tries hold them.
#[derive(Debug, Default)]
pub(super) struct Prefixes(BTreeMap<IpNet, PrefixBan>);

/// Entries of other prefixes that changed with a prefix, to be written after it.
pub(super) type Changed = Vec<(IpNet, PrefixBan)>;

impl Prefixes {
    pub(super) fn get(&self, prefix: IpNet) -> Option<PrefixBan> {
        self.0.get(&prefix).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, PrefixBan)> {
        self.0.iter().map(|(prefix, entry)| (*prefix, *entry))
    }

    /// The entry that `prefix` would have with this ban.
    pub(super) fn planned(&self, prefix: IpNet, own: Ban) -> PrefixBan {
        PrefixBan::new(own, self.cover(prefix))
    }

    /// Takes up a planned entry.
    pub(super) fn insert(&mut self, prefix: IpNet, entry: PrefixBan) -> Changed {
        let before = self.0.insert(prefix, entry).map(|entry| entry.own);
        self.recover(prefix, before, entry.own)
    }

    /// Lets a prefix go; `None` if it was not there.
    pub(super) fn remove(&mut self, prefix: IpNet) -> Option<Changed> {
        let before = self.0.remove(&prefix)?.own;
        Some(self.recover(prefix, Some(before), Ban::NONE))
    }

    /// Recomputes what the prefixes inside `prefix` carry, after its ban went from `before` to `now`.
    fn recover(&mut self, prefix: IpNet, before: Option<Ban>, now: Ban) -> Changed {
        let mut changed = Vec::new();
        for (inner, entry) in self.inside(prefix) {
            let cover = if before == Some(entry.cover) {
                // It carried the ban that has changed: any other may be the latest now.
                self.cover(inner)
            } else if now.expires_at_ns > entry.cover.expires_at_ns {
                now
            } else {
                continue;
            };
            if cover != entry.cover {
                changed.push((inner, PrefixBan { cover, ..entry }));
            }
        }
        self.0.extend(changed.iter().copied());
        changed
    }

    /// The prefixes strictly inside `prefix`: in the map's order they follow it without a gap.
    pub(super) fn inside(&self, prefix: IpNet) -> Vec<(IpNet, PrefixBan)> {
        self.0
            .range(prefix..)
            .take_while(|(inner, _)| prefix.contains(*inner))
            .filter(|(inner, _)| **inner != prefix)
            .map(|(inner, entry)| (*inner, *entry))
            .collect()
    }

    /// The ban with the latest deadline strictly around `prefix`.
    fn cover(&self, prefix: IpNet) -> Ban {
        let mut latest = Ban::NONE;
        let mut around = prefix.supernet();
        while let Some(outer) = around {
            if let Some(entry) = self.0.get(&outer)
                && entry.own.expires_at_ns > latest.expires_at_ns
            {
                latest = entry.own;
            }
            around = outer.supernet();
        }
        latest
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use ipnet::Ipv4Net;
    use proptest::prelude::*;

    use super::*;

    /// What the kernel holds: written entry by entry, found by longest prefix.
    fn kernel_verdict(written: &BTreeMap<IpNet, PrefixBan>, address: IpAddr, now_ns: u64) -> bool {
        written
            .iter()
            .filter(|(prefix, _)| prefix.contains(&address))
            .max_by_key(|(prefix, _)| prefix.prefix_len())
            .is_some_and(|(_, entry)| entry.in_force(now_ns).is_some())
    }

    /// What is meant: banned while any ban around the address holds.
    fn meant(bans: &BTreeMap<IpNet, Ban>, address: IpAddr, now_ns: u64) -> bool {
        bans.iter().any(|(prefix, ban)| prefix.contains(&address) && ban.holds(now_ns))
    }

    fn prefix() -> impl Strategy<Value = IpNet> {
        // Few bits, so that prefixes meet and cover each other.
        (0_u32..16, 0_u8..=8).prop_map(|(bits, len)| {
            let address = Ipv4Addr::from_bits(bits << 24 | bits << 28);
            IpNet::V4(Ipv4Net::new(address, len).unwrap().trunc())
        })
    }

    proptest! {
        #[test]
        fn the_longest_match_never_hides_a_ban(
            steps in prop::collection::vec((prefix(), prop::option::of(1_u64..40)), 1..60),
            probes in prop::collection::vec((any::<u32>(), 0_u64..45), 1..40),
        ) {
            let (mut prefixes, mut written, mut bans) =
                (Prefixes::default(), BTreeMap::new(), BTreeMap::new());
            for (decision, (prefix, deadline)) in (1..).zip(steps) {
                let changed = if let Some(deadline) = deadline {
                    let ban = Ban::new(deadline, decision, 1);
                    let entry = prefixes.planned(prefix, ban);
                    bans.insert(prefix, ban);
                    written.insert(prefix, entry);
                    prefixes.insert(prefix, entry)
                } else {
                    bans.remove(&prefix);
                    written.remove(&prefix);
                    prefixes.remove(prefix).unwrap_or_default()
                };
                written.extend(changed);
                for (address, now_ns) in &probes {
                    let address = IpAddr::V4(Ipv4Addr::from_bits(*address));
                    prop_assert_eq!(
                        kernel_verdict(&written, address, *now_ns),
                        meant(&bans, address, *now_ns),
                        "{} at {} in {:?}", address, now_ns, &written
                    );
                }
            }
        }
    }
}
