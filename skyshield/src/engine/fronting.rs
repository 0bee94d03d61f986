//! Whether most requests come by one proxy that nobody has told of: then an address stands for everybody,
//! and a ban of one would be a ban of all.

mod networks;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Requests are counted over this long, and as long before.
const WINDOW: Duration = Duration::from_mins(1);
/// Of fewer requests nothing is concluded.
const FEWEST: u32 = 20;
/// From this share on requests come by one proxy, in percent.
const MOST: u32 = 50;
/// Below this share they do not any more.
const FEW: u32 = 30;
/// Proxies that are counted at a time; of the rest none can have most requests for long.
const MAX_FRONTS: usize = 64;

/// Who stands in front of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Front {
    /// An address that nobody has on the internet.
    Private(IpAddr),
    /// A network that delivers for others.
    Cdn(&'static str),
}

impl Front {
    /// Who it is where `address` sends requests that name another client.
    pub fn of(address: IpAddr) -> Option<Self> {
        networks::cdn_of(address)
            .map(Self::Cdn)
            .or_else(|| networks::is_private(address).then_some(Self::Private(address)))
    }
}

impl fmt::Display for Front {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private(address) => write!(out, "the private address {address}"),
            Self::Cdn(name) => out.write_str(name),
        }
    }
}

/// That most requests come by a proxy that is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fronted {
    /// Which.
    pub front: Front,
    /// How many of a hundred.
    pub percent: u32,
}

impl fmt::Display for Fronted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { front, percent } = self;
        write!(
            out,
            "{percent} % of requests come by {front} and name other clients (X-Forwarded-For and the like): \
             it is a proxy, and a ban of its address would be a ban of everybody behind it; name it in \
             gateway.trusted_proxies"
        )
    }
}

#[derive(Debug, Default)]
struct Counts {
    all: u32,
    by_front: HashMap<Front, u32>,
}

/// Counts by whom requests come.
#[derive(Debug, Default)]
pub struct Fronting {
    began: Option<Instant>,
    now: Counts,
    before: Counts,
    found: Option<Fronted>,
}

impl Fronting {
    /// Counts a request that came from `address` itself, not by a trusted proxy's word. Whether it `forwards`
    /// is what its headers say.
    pub fn observe(&mut self, address: IpAddr, forwards: bool, at: Instant) {
        let began = *self.began.get_or_insert(at);
        if at.saturating_duration_since(began) >= WINDOW {
            self.before = std::mem::take(&mut self.now);
            self.began = Some(at);
        }
        self.now.all = self.now.all.saturating_add(1);
        if let Some(front) = Front::of(address).filter(|_| forwards) {
            let known = self.now.by_front.len() < MAX_FRONTS || self.now.by_front.contains_key(&front);
            if known {
                *self.now.by_front.entry(front).or_default() += 1;
            }
        }
        self.conclude();
    }

    /// Counts a request that came by a trusted proxy: it is told of.
    pub fn observe_told(&mut self) {
        self.now.all = self.now.all.saturating_add(1);
        self.conclude();
    }

    /// Whether `address` may stand for others than itself: one of those proxies has most requests; or too few are
    /// counted to tell, and what is held against it names another client.
    pub fn doubts(&self, address: IpAddr, forwards: bool) -> bool {
        let is_told_by_now = self.now.all.saturating_add(self.before.all) >= FEWEST;
        Front::of(address).is_some() && (self.found.is_some() || forwards && !is_told_by_now)
    }

    /// What is concluded.
    pub fn found(&self) -> Option<Fronted> {
        self.found
    }

    fn conclude(&mut self) {
        let all = self.now.all.saturating_add(self.before.all);
        if all < FEWEST {
            return;
        }
        let share = |front: &Front| {
            let count = |counts: &Counts| counts.by_front.get(front).copied().unwrap_or_default();
            u32::try_from(u64::from(count(&self.now) + count(&self.before)) * 100 / u64::from(all))
                .unwrap_or(100)
        };
        let fronts = self.now.by_front.keys().chain(self.before.by_front.keys());
        let most = fronts.map(|front| Fronted { front: *front, percent: share(front) });
        let most = most.max_by_key(|fronted| fronted.percent);
        let least = if self.found.is_some() { FEW } else { MOST };
        self.found = most.filter(|fronted| fronted.percent >= least);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
mod tests {
    use super::*;

    fn told(requests: &[(&str, bool, u32)]) -> Option<String> {
        let (mut fronting, now) = (Fronting::default(), Instant::now());
        for &(address, forwards, times) in requests {
            (0..times).for_each(|_| fronting.observe(address.parse().unwrap(), forwards, now));
        }
        fronting.found().map(|found| format!("{} {}", found.front, found.percent))
    }

    #[test]
    fn a_proxy_that_nobody_told_of_is_noticed() {
        for (requests, expected) in [
            (&[("172.17.0.1", true, 30)][..], Some("the private address 172.17.0.1 100")),
            (&[("172.17.0.1", true, 19)], None),
            (&[("172.17.0.1", false, 300)], None),
            (&[("203.0.113.7", true, 300)], None),
            (
                &[("104.16.3.4", true, 20), ("172.64.9.9", true, 20), ("203.0.113.7", false, 30)],
                Some("Cloudflare 57"),
            ),
            (&[("203.0.113.7", false, 30), ("10.0.0.1", true, 20)], None),
            (&[("fd00::1", true, 30)], Some("the private address fd00::1 100")),
        ] {
            assert_eq!(told(requests).as_deref(), expected, "{requests:?}");
        }
    }

    #[test]
    fn whose_address_is_in_doubt_is_told_from_the_first_request_on() {
        let (mut fronting, now) = (Fronting::default(), Instant::now());
        let doubts = |fronting: &Fronting, address: &str, forwards: bool| {
            fronting.doubts(address.parse().unwrap(), forwards)
        };
        assert!(doubts(&fronting, "172.17.0.1", true), "nothing is known yet, and it names another client");
        assert!(!doubts(&fronting, "172.17.0.1", false), "it names nobody");
        assert!(
            !doubts(&fronting, "203.0.113.7", true),
            "who has an address of his own can write what he likes"
        );
        (0..20).for_each(|_| fronting.observe([203, 0, 113, 9].into(), false, now));
        assert!(!doubts(&fronting, "172.17.0.1", true), "most come by themselves");
        (0..40).for_each(|_| fronting.observe([172, 17, 0, 1].into(), true, now));
        for (address, doubted) in [("172.17.0.1", true), ("104.16.3.4", true), ("203.0.113.7", false)] {
            assert_eq!(doubts(&fronting, address, false), doubted, "{address}");
        }
    }

    #[test]
    fn once_it_is_told_of_the_conclusion_goes_away() {
        let (mut fronting, now) = (Fronting::default(), Instant::now());
        (0..100).for_each(|_| fronting.observe([10, 0, 0, 1].into(), true, now));
        assert!(fronting.found().is_some());
        (0..200).for_each(|_| fronting.observe_told());
        assert!(fronting.found().is_some(), "a third is still much");
        (0..100).for_each(|_| fronting.observe_told());
        assert_eq!(fronting.found(), None);
    }
}
