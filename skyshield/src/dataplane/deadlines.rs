//! When bans end by themselves, so that their room is freed: eight bytes for an IPv4 address.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};

use crate::engine::source::Source;

const NANOS_PER_SEC: u64 = 1_000_000_000;
/// Notes beyond twice as many as there are bans, before the stale ones go.
const SPARE: usize = 4096;

/// Notes of ends, to the second. A ban that is lengthened or removed leaves its old note behind: whoever
/// takes one looks whether it still holds.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    hosts_v4: BinaryHeap<Reverse<(u32, u32)>>,
    others: BinaryHeap<Reverse<(u32, Source)>>,
}

impl Deadlines {
    /// Notes that `source` is over at `expires_at_ns`.
    pub(super) fn note(&mut self, expires_at_ns: u64, source: Source) {
        let second = second(expires_at_ns.saturating_add(NANOS_PER_SEC - 1));
        match source.address() {
            IpAddr::V4(v4) if source.is_host() => self.hosts_v4.push(Reverse((second, v4.to_bits()))),
            IpAddr::V4(_) | IpAddr::V6(_) => self.others.push(Reverse((second, source))),
        }
    }

    /// Whether most notes are stale beside so many bans, and are better taken anew of those.
    pub(super) fn are_crowded(&self, bans: usize) -> bool {
        self.hosts_v4.len() + self.others.len() > bans.saturating_mul(2).saturating_add(SPARE)
    }

    /// Takes a note of what should be over at `now_ns`.
    pub(super) fn take(&mut self, now_ns: u64) -> Option<Source> {
        let now = second(now_ns);
        let is_over = |noted: Option<u32>| noted.is_some_and(|noted| noted <= now);
        if is_over(self.hosts_v4.peek().map(|Reverse((noted, _))| *noted)) {
            let Reverse((_, bits)) = self.hosts_v4.pop()?;
            return Some(Source::host(Ipv4Addr::from_bits(bits).into()));
        }
        if is_over(self.others.peek().map(|Reverse((noted, _))| *noted)) {
            return self.others.pop().map(|Reverse((_, source))| source);
        }
        None
    }
}

fn second(ns: u64) -> u32 {
    u32::try_from(ns / NANOS_PER_SEC).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_over_is_taken_and_nothing_before_its_time() {
        let mut deadlines = Deadlines::default();
        for (text, second) in [("10.0.0.1", 5), ("10.0.0.2", 3), ("2001:db8::/48", 4), ("10.0.0.0/24", 9)] {
            deadlines.note(second * NANOS_PER_SEC, source(text));
        }
        let mut taken = |now: u64| {
            let mut taken: Vec<_> = std::iter::from_fn(|| deadlines.take(now * NANOS_PER_SEC)).collect();
            taken.sort_unstable();
            taken
        };
        assert_eq!(taken(2), []);
        assert_eq!(taken(5), ["10.0.0.1", "10.0.0.2", "2001:db8::/48"].map(source));
        assert_eq!(taken(20), [source("10.0.0.0/24")]);
    }
}
