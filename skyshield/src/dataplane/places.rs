//! Places as the program reads them: two generations, of which one is in force.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use skyshield_common::place::{self, Policy, act};
use skyshield_common::{Rate, maps as names};

use super::clock;
use super::edges::{Edge, by_family, edges};
use super::error::Error;
use super::ranges::wait_for_readers;
use super::shared::Shared;
use crate::engine::place::{MAX_POLICIES, PlaceAct, Places};

/// What is decided of places, made ready for the maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    pub(super) names: Vec<String>,
    pub(super) policies: Vec<Policy>,
    pub(super) v4: Vec<Edge<u32>>,
    pub(super) v6: Vec<Edge<u128>>,
}

impl Placed {
    /// Aggregates `places`. A prefix of a policy that is not there has none.
    pub(super) fn of(places: &Places) -> Self {
        let policies = places.policies.get(..MAX_POLICIES).unwrap_or(&places.policies);
        let known = |index: u8| usize::from(index) < policies.len();
        let numbered = places.prefixes.iter().filter(|(_, index)| known(*index));
        let (v4, v6) = by_family(numbered.map(|&(prefix, index)| (prefix.trunc(), u32::from(index) + 1)));
        Self {
            names: policies.iter().map(|policy| policy.name.clone()).collect(),
            policies: policies.iter().map(|policy| wire(policy.act, policy.dry_run)).collect(),
            v4: edges(v4, |last| last.checked_add(1)),
            v6: edges(v6, |last| last.checked_add(1)),
        }
    }

    /// Whether nothing is decided of any place.
    pub(super) fn is_empty(&self) -> bool {
        self.v4.len() <= 1 && self.v6.len() <= 1
    }

    /// How many edges there are, of IPv4 and of IPv6; none where nothing is decided.
    pub(super) fn edges(&self) -> [u32; 2] {
        [self.v4.len(), self.v6.len()].map(|count| counted(count.saturating_sub(1)))
    }

    /// All addresses of which something is decided, as prefixes.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        let v4 = ranges(&self.v4, u32::MAX, |first| first - 1);
        let v4 = v4.flat_map(|(first, last)| {
            Ipv4Subnets::new(Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(last), 0).map(IpNet::V4)
        });
        let v6 = ranges(&self.v6, u128::MAX, |first| first - 1);
        let v6 = v6.flat_map(|(first, last)| {
            Ipv6Subnets::new(Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(last), 0).map(IpNet::V6)
        });
        v4.chain(v6)
    }
}

fn wire(policy: PlaceAct, dry_run: bool) -> Policy {
    let dry = if dry_run { act::DRY_RUN } else { 0 };
    match policy {
        PlaceAct::Ban => Policy { act: act::BAN | dry, rate: Rate::default() },
        PlaceAct::Limit { packets_per_sec, burst } => {
            let rate = Rate::per_sec(packets_per_sec.max(1), burst.max(1), clock::jiffy_ns());
            Policy { act: dry, rate }
        }
    }
}

/// First and last address of each stretch of which something is decided.
fn ranges<A: Copy>(edges: &[Edge<A>], most: A, before: impl Fn(A) -> A) -> impl Iterator<Item = (A, A)> {
    let nexts = edges.iter().skip(1).map(|edge| Some(edge.0)).chain([None]);
    edges
        .iter()
        .zip(nexts)
        .filter(|(edge, _)| edge.1 != 0)
        .map(move |(edge, next)| (edge.0, next.map_or(most, &before)))
}

/// Edges that as many prefixes may come to.
const fn edges_of(prefixes: u32) -> u32 {
    prefixes.saturating_mul(2).saturating_add(1)
}

/// Slots of the map of IPv4 places, where so many prefixes are to fit into each of two generations.
pub(super) fn slots_v4(prefixes: u32) -> u32 {
    if prefixes == 0 { 1 } else { (place::HEAD_V4 + edges_of(prefixes)).saturating_mul(2) + 1 }
}

/// The same for IPv6.
pub(super) fn slots_v6(prefixes: u32) -> u32 {
    if prefixes == 0 { 1 } else { (place::HEAD_V6 + edges_of(prefixes)).saturating_mul(2) + 1 }
}

/// The prefixes that so many slots of the map of IPv4 places are for.
pub(super) fn prefixes_of_v4(slots: u32) -> u32 {
    ((slots - 1) / 2).saturating_sub(place::HEAD_V4 + 1) / 2
}

/// The same for IPv6.
pub(super) fn prefixes_of_v6(slots: u32) -> u32 {
    ((slots - 1) / 2).saturating_sub(place::HEAD_V6 + 1) / 2
}

/// The maps of places.
pub(super) struct PlaceMaps {
    v4: Shared,
    v6: Shared,
}

impl PlaceMaps {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self { v4: Shared::open(dir, names::PLACES_V4)?, v6: Shared::open(dir, names::PLACES_V6)? })
    }

    /// Where the two generations begin, in the one map and in the other.
    fn bases(&self) -> [(usize, usize); 2] {
        let slots_v6 = self.v6.words().len() / place::WORDS_V6;
        [(1, 1), (1 + (self.v4.words().len() - 1) / 2, 1 + (slots_v6 - 1) / 2)]
    }

    /// What lies in the maps as `generation`; nothing if it does not lie there whole.
    pub(super) fn read(&self, generation: u64) -> Option<Placed> {
        let base = (place::base_v4(generation), place::base_v6(generation));
        let (base_v4, base_v6) = (base.0 as usize, base.1 as usize);
        if !self.bases().contains(&(base_v4, base_v6)) || self.v4.words().len() <= 1 {
            return None;
        }
        let start_v4 = base_v4 + place::HEAD_V4 as usize;
        let count_v4 = usize::try_from(self.v4.load(base_v4)).ok()?;
        let count_v6 = usize::try_from(self.v6.load(base_v6 * place::WORDS_V6)).ok()?;
        let room = (self.v4.words().len() - 1) / 2 - place::HEAD_V4 as usize;
        if count_v4 > room || count_v6 > room {
            return None;
        }
        let policy = |number: u32| {
            let at = place::policy_at(base.0, number) as usize;
            let rate = Rate { interval: self.v4.load(at + 1), tolerance: self.v4.load(at + 2) };
            Policy { act: self.v4.load(at), rate }
        };
        let edge_v4 = |at: usize| {
            let edge = self.v4.load(start_v4 + at);
            (place::first_v4(edge), place::policy_v4(edge))
        };
        let edge_v6 = |at: usize| {
            let at = (base_v6 + place::HEAD_V6 as usize + at) * place::WORDS_V6;
            let whole = u128::from(self.v6.load(at)) << 64 | u128::from(self.v6.load(at + 1));
            (whole, u32::try_from(self.v6.load(at + 2)).unwrap_or_default())
        };
        Some(Placed {
            names: Vec::new(),
            policies: (1..place::POLICIES).map(policy).collect(),
            v4: (0..count_v4).map(edge_v4).collect(),
            v6: (0..count_v6).map(edge_v6).collect(),
        })
    }

    /// Writes the next generation beside the one in force; what is to be said for it to be the one.
    pub(super) fn write(&self, before: u64, placed: &Placed) -> u64 {
        if placed.is_empty() {
            return 0;
        }
        // Nobody may still be reading what was in force before the last change.
        wait_for_readers();
        let in_force = (place::base_v4(before) as usize, place::base_v6(before) as usize);
        let [first, second] = self.bases();
        let (base_v4, base_v6) = if in_force == first { second } else { first };
        self.write_v4(base_v4, placed);
        self.write_v6(base_v6, &placed.v6);
        place::generation(counted(base_v4), counted(base_v6))
    }

    fn write_v4(&self, base: usize, placed: &Placed) {
        let base_word = counted(base);
        self.v4.store(base, placed.v4.len() as u64);
        for number in 0..place::POLICIES {
            let policy = (number as usize).checked_sub(1).and_then(|index| placed.policies.get(index));
            let Policy { act, rate } = policy.copied().unwrap_or_default();
            let at = place::policy_at(base_word, number) as usize;
            for (word, value) in [act, rate.interval, rate.tolerance].into_iter().enumerate() {
                self.v4.store(at + word, value);
            }
        }
        let mut network = 0_u64;
        for (at, &(first, policy)) in placed.v4.iter().enumerate() {
            let at_word = counted(at);
            self.v4.store(place::edge_at(base_word, at_word) as usize, place::edge_v4(first, policy));
            // Each /16 that begins before this edge has the last one.
            while network << 16 < u64::from(first) {
                let index = place::index_at(base_word, u32::try_from(network).unwrap_or(u32::MAX));
                self.v4.store(index as usize, at.saturating_sub(1) as u64);
                network += 1;
            }
        }
        while network <= 1 << 16 {
            let index = place::index_at(base_word, u32::try_from(network).unwrap_or(u32::MAX));
            self.v4.store(index as usize, placed.v4.len().saturating_sub(1) as u64);
            network += 1;
        }
    }

    fn write_v6(&self, base: usize, edges: &[Edge<u128>]) {
        self.v6.store(base * place::WORDS_V6, edges.len() as u64);
        for (at, &(first, policy)) in edges.iter().enumerate() {
            let at = (base + place::HEAD_V6 as usize + at) * place::WORDS_V6;
            #[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
            let words = [(first >> 64) as u64, first as u64, policy.into()];
            for (word, value) in words.into_iter().enumerate() {
                self.v6.store(at + word, value);
            }
        }
    }
}

fn counted(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
