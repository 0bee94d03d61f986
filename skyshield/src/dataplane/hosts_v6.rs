//! The flat table of IPv6 hosts.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use skyshield_common::host::Hold;
use skyshield_common::host_v6::{self, Holds, SLOTS, WORDS};
use skyshield_common::{Address, Ban, maps as names};

use super::error::Error;
use super::shared::Shared;
use crate::engine::source::Source;

/// Banned IPv6 addresses as the program looks for them. Of each there is a record, too.
pub(super) struct HostsV6 {
    buckets: Shared,
    mask: u32,
    /// What the program hashes with.
    seed: u64,
    /// Those that fit into no bucket.
    beside: HashSet<Ipv6Addr>,
}

/// Where an address is.
#[derive(Clone, Copy)]
struct Place {
    bucket: u32,
    slot: usize,
}

impl HostsV6 {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let buckets = Shared::open(dir, names::HOSTS_V6)?;
        let count = buckets.words().len() / WORDS;
        let mask = u32::try_from(count).unwrap_or(u32::MAX).saturating_sub(1);
        Ok(Self { buckets, mask, seed: 0, beside: HashSet::new() })
    }

    /// How many there are beside the table.
    pub(super) fn beside(&self) -> u64 {
        self.beside.len() as u64
    }

    /// Says `hold` of an address from now on.
    pub(super) fn put(&mut self, address: Ipv6Addr, hold: Hold) {
        if let Some(place) = self.find(address) {
            self.say(place, hold);
        } else if hold == Hold::NONE {
            self.beside.remove(&address);
        } else if let Some(place) = self.free(address) {
            self.give(place, address);
            self.say(place, hold);
            self.beside.remove(&address);
        } else {
            self.beside.insert(address);
        }
    }

    /// Has the table say of each address what its record does and nothing of others, whatever an earlier daemon was
    /// doing when it died, and by whatever seed.
    pub(super) fn mend(&mut self, seed: u64, records: Vec<(Source, Ban)>) {
        self.seed = seed;
        self.beside.clear();
        let of_v6 = records.into_iter().filter_map(|(source, ban)| match source.address() {
            IpAddr::V6(address) => Some((address, Hold::NONE.until(ban.expires_at_ns))),
            IpAddr::V4(_) => None,
        });
        let mut records: HashMap<_, _> = of_v6.collect();
        for bucket in 0..=self.mask {
            for slot in 0..SLOTS {
                let place = Place { bucket, slot };
                let before = self.holds(bucket).of(slot);
                if before == Hold::NONE {
                    continue;
                }
                let address = self.address(place);
                let (first, second) = self.buckets_of(address);
                let is_found = bucket == first || bucket == second;
                let after = if is_found { records.remove(&address) } else { None };
                if after != Some(before) {
                    self.say(place, after.unwrap_or(Hold::NONE));
                }
            }
        }
        for (address, hold) in records {
            self.put(address, hold);
        }
    }

    fn find(&self, address: Ipv6Addr) -> Option<Place> {
        let (first, second) = self.buckets_of(address);
        let mut places = [first, second].into_iter().flat_map(places);
        places.find(|place| self.hold(*place) != Hold::NONE && self.address(*place) == address)
    }

    /// A free slot for an address that has none.
    fn free(&self, address: Ipv6Addr) -> Option<Place> {
        let (first, second) = self.buckets_of(address);
        let free = |bucket: u32| places(bucket).filter(|place| self.hold(*place) == Hold::NONE);
        let preferred =
            if host_v6::prefers_first((free(first).count(), free(second).count())) { first } else { second };
        free(preferred).next()
    }

    /// Gives a free slot to an address.
    fn give(&self, place: Place, address: Ipv6Addr) {
        let (at, Address { high, low }) = (place.address_at(), Address::from_octets(address.octets()));
        self.write_holds(place.bucket, self.holds(place.bucket).at_next_turn());
        self.buckets.store(at, high);
        self.buckets.store(at + 1, low);
    }

    fn say(&self, place: Place, hold: Hold) {
        self.write_holds(place.bucket, self.holds(place.bucket).with(place.slot, hold));
    }

    fn hold(&self, place: Place) -> Hold {
        self.holds(place.bucket).of(place.slot)
    }

    fn holds(&self, bucket: u32) -> Holds {
        let at = bucket as usize * WORDS + Holds::AT;
        Holds([self.buckets.load(at), self.buckets.load(at + 1)])
    }

    /// Writes what has changed of them, which is one word.
    fn write_holds(&self, bucket: u32, Holds(words): Holds) {
        let (at, Holds(before)) = (bucket as usize * WORDS + Holds::AT, self.holds(bucket));
        for (word, _) in words.iter().zip(before).enumerate().filter(|(_, (after, before))| *after != before)
        {
            self.buckets.store(at + word, words[word]);
        }
    }

    fn address(&self, place: Place) -> Ipv6Addr {
        let at = place.address_at();
        Ipv6Addr::from(Address { high: self.buckets.load(at), low: self.buckets.load(at + 1) }.octets())
    }

    fn buckets_of(&self, address: Ipv6Addr) -> (u32, u32) {
        host_v6::buckets(Address::from_octets(address.octets()), self.seed, self.mask)
    }
}

impl Place {
    /// The first word of its address.
    const fn address_at(self) -> usize {
        self.bucket as usize * WORDS + host_v6::address_at(self.slot)
    }
}

/// The slots of a bucket.
fn places(bucket: u32) -> impl Iterator<Item = Place> {
    (0..SLOTS).map(move |slot| Place { bucket, slot })
}
