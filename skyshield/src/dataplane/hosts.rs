//! The flat table of IPv4 hosts, its stash, and the tables that say where bans are near.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::Ordering;

use aya::maps::{HashMap, MapData};
use ipnet::{IpNet, Ipv6Net};
use skyshield_common::Address;
use skyshield_common::host::{self, Hold, SLOTS};
use skyshield_common::maps as names;
use skyshield_common::near::{self, Depth};

use super::error::Error;
use super::family::{failed, open};
use super::shared::Shared;

/// Banned and listed IPv4 addresses as the program reads them.
pub(super) struct Hosts {
    buckets: Shared,
    mask: u32,
    stash: HashMap<MapData, [u8; 4], u64>,
    stash_capacity: u32,
    /// How many there are in the stash.
    stashed: u32,
}

/// Where an address is.
#[derive(Clone, Copy)]
enum Place {
    Slot(usize),
    Stash,
}

/// How full a bucket may get before the other one is preferred for a new address: most addresses
/// are then found in the first.
const FIRST_HOLDS: usize = 7;

impl Hosts {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let buckets = Shared::open(dir, names::HOSTS_V4)?;
        let count = buckets.words().len() / SLOTS;
        let mask = u32::try_from(count).unwrap_or(u32::MAX).saturating_sub(1);
        let stash: HashMap<MapData, [u8; 4], u64> = open(dir, names::STASH_V4)?;
        let refused = failed("walk", names::STASH_V4);
        let mut stashed = 0;
        for key in stash.keys() {
            key.map_err(&refused)?;
            stashed += 1;
        }
        Ok(Self { buckets, mask, stash, stash_capacity: stash_capacity(count), stashed })
    }

    /// Entries of the stash.
    pub(super) fn stashed(&self) -> u32 {
        self.stashed
    }

    /// What is said of an address.
    pub(super) fn hold(&self, address: u32) -> Hold {
        match self.find(address) {
            Some((_, hold)) => hold,
            None => Hold::NONE,
        }
    }

    /// Has the buckets of an address fetched that is soon wanted.
    pub(super) fn foresee(&self, address: u32) {
        let (first, second) = host::buckets(address, self.mask);
        for bucket in [first, second] {
            self.buckets.fetch(bucket as usize * SLOTS);
        }
    }

    fn find(&self, address: u32) -> Option<(Place, Hold)> {
        let (first, second) = host::buckets(address, self.mask);
        for bucket in [first, second] {
            for at in slots(bucket) {
                let slot = self.buckets.load(at);
                if host::address_of(slot) == address && host::hold_of(slot) != Hold::NONE {
                    return Some((Place::Slot(at), host::hold_of(slot)));
                }
            }
        }
        if self.stashed == 0 {
            return None;
        }
        let bits = self.stash.get(&Ipv4Addr::from_bits(address).octets(), 0).ok()?;
        Some((Place::Stash, Hold::from_bits(u32::try_from(bits).unwrap_or_default())))
    }

    /// Puts an address on the list or takes it off; whether that changed anything.
    pub(super) fn list(&mut self, address: u32, listed: bool) -> Result<bool, Error> {
        let found = self.find(address);
        let before = found.as_ref().map_or(Hold::NONE, |(_, hold)| *hold);
        if before.is_listed() == listed {
            return Ok(false);
        }
        self.put_at(found, address, before.listed(listed)).map(|()| true)
    }

    /// Says `hold` of an address from now on.
    pub(super) fn put(&mut self, address: u32, hold: Hold) -> Result<(), Error> {
        let found = self.find(address);
        self.put_at(found, address, hold)
    }

    fn put_at(&mut self, found: Option<(Place, Hold)>, address: u32, hold: Hold) -> Result<(), Error> {
        let key = Ipv4Addr::from_bits(address).octets();
        match found {
            Some((Place::Slot(at), _)) => {
                self.buckets.store(at, if hold == Hold::NONE { 0 } else { host::slot(address, hold) });
            }
            Some((Place::Stash, _)) if hold == Hold::NONE => {
                self.stash.remove(&key).map_err(failed("delete from", names::STASH_V4))?;
                self.stashed -= 1;
            }
            Some((Place::Stash, _)) => self.stash_put(key, hold)?,
            None if hold == Hold::NONE => {}
            None => match self.free(address) {
                Some(at) => self.buckets.store(at, host::slot(address, hold)),
                None if self.stashed >= self.stash_capacity => {
                    return Err(Error::Full { map: names::STASH_V4, capacity: self.stash_capacity });
                }
                None => {
                    self.stash_put(key, hold)?;
                    self.stashed += 1;
                }
            },
        }
        Ok(())
    }

    fn stash_put(&mut self, key: [u8; 4], hold: Hold) -> Result<(), Error> {
        self.stash.insert(key, u64::from(hold.bits()), 0).map_err(failed("write", names::STASH_V4))
    }

    /// A free slot for an address that has none.
    fn free(&self, address: u32) -> Option<usize> {
        let (first, second) = host::buckets(address, self.mask);
        let free = |bucket: u32| slots(bucket).filter(|at| self.buckets.load(*at) == 0);
        let (left, right) = (free(first).count(), free(second).count());
        let preferred = if left > SLOTS - FIRST_HOLDS || left >= right { first } else { second };
        let home = preferred as usize * SLOTS + host::home(address);
        if self.buckets.load(home) == 0 { Some(home) } else { free(preferred).next() }
    }

    /// Every address with a hold.
    pub(super) fn all(&self) -> Result<Vec<(u32, Hold)>, Error> {
        let slots = self.buckets.words().iter().map(|word| word.load(Ordering::Relaxed));
        let mut all: Vec<_> = slots
            .map(|slot| (host::address_of(slot), host::hold_of(slot)))
            .filter(|(_, hold)| *hold != Hold::NONE)
            .collect();
        for entry in &self.stash {
            let (key, bits) = entry.map_err(failed("walk", names::STASH_V4))?;
            all.push((u32::from_be_bytes(key), Hold::from_bits(u32::try_from(bits).unwrap_or_default())));
        }
        Ok(all)
    }
}

fn slots(bucket: u32) -> std::ops::Range<usize> {
    let first = bucket as usize * SLOTS;
    first..first + SLOTS
}

/// The room of a stash beside so many buckets: far more than ever fit into no bucket of a table that
/// is three quarters full.
pub(super) fn stash_capacity(buckets: usize) -> u32 {
    const LEAST: u32 = 64;
    u32::try_from(buckets / 16).unwrap_or(u32::MAX).max(LEAST)
}

/// Where bans are near. Bits are set when something comes and stay when it goes, until all of them
/// are computed anew.
pub(super) struct Near {
    hosts_v4: Shared,
    v4: Shared,
    v6: Shared,
    /// The depths at which something of IPv6 was put in.
    depths: u64,
}

impl Near {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self {
            hosts_v4: Shared::open(dir, names::NEAR_HOSTS_V4)?,
            v4: Shared::open(dir, names::NEAR_V4)?,
            v6: Shared::open(dir, names::NEAR_V6)?,
            depths: 0,
        })
    }

    /// The number of the last word of the filter of IPv4 hosts.
    pub(super) fn mask(&self) -> u32 {
        u32::try_from(self.hosts_v4.words().len()).unwrap_or(u32::MAX).saturating_sub(1)
    }

    pub(super) fn depths(&self) -> u64 {
        self.depths
    }

    pub(super) fn add_host_v4(&self, address: u32) {
        let (word, bits) = near::host_v4(address, self.mask());
        self.hosts_v4.set(word as usize, bits);
    }

    pub(super) fn add_host_v6(&mut self, address: [u8; 16]) {
        self.add_v6(address, Depth::Host);
    }

    fn add_v6(&mut self, address: [u8; 16], depth: Depth) {
        let (word, bits) = near::v6(Address::from_octets(address), depth);
        self.v6.set(word as usize, bits);
        self.depths |= depth.bit();
    }

    pub(super) fn add_prefix(&mut self, prefix: IpNet) {
        match prefix {
            IpNet::V4(net) => {
                mark(net.network().to_bits(), net.prefix_len(), |word, bits| self.v4.set(word, bits));
            }
            IpNet::V6(net) => {
                for part in parts_v6(net) {
                    self.add_v6(part, Depth::of_prefix(net.prefix_len()));
                }
            }
        }
    }

    /// Computes every bit anew. What is there before and after is there throughout.
    pub(super) fn rebuild(
        &mut self,
        hosts_v4: impl Iterator<Item = u32>,
        hosts_v6: impl Iterator<Item = [u8; 16]>,
        prefixes: impl Iterator<Item = IpNet>,
    ) {
        let [mut hosts, mut v4, mut v6] =
            [&self.hosts_v4, &self.v4, &self.v6].map(|shared| vec![0_u64; shared.words().len()]);
        let mask = self.mask();
        self.depths = 0;
        for address in hosts_v4 {
            let (word, bits) = near::host_v4(address, mask);
            hosts[word as usize] |= bits;
        }
        let mut put_v6 = |address, depth: Depth| {
            let (word, bits) = near::v6(Address::from_octets(address), depth);
            v6[word as usize] |= bits;
            self.depths |= depth.bit();
        };
        for address in hosts_v6 {
            put_v6(address, Depth::Host);
        }
        for prefix in prefixes {
            match prefix {
                IpNet::V4(net) => {
                    mark(net.network().to_bits(), net.prefix_len(), |word, bits| v4[word] |= bits);
                }
                IpNet::V6(net) => {
                    for part in parts_v6(net) {
                        put_v6(part, Depth::of_prefix(net.prefix_len()));
                    }
                }
            }
        }
        for (shared, wanted) in [(&self.hosts_v4, hosts), (&self.v4, v4), (&self.v6, v6)] {
            for (at, word) in wanted.into_iter().enumerate() {
                if shared.load(at) != word {
                    shared.store(at, word);
                }
            }
        }
    }
}

/// What a prefix is put in as: itself, or all the /32s that it is made of.
fn parts_v6(net: Ipv6Net) -> impl Iterator<Item = [u8; 16]> {
    const BELOW: u32 = 96;
    let first = net.network().to_bits();
    (0..near::parts(net.prefix_len())).map(move |part| (first | u128::from(part) << BELOW).to_be_bytes())
}

/// Gives `set` the bits of every /24 that an IPv4 prefix touches, and then of every /18.
fn mark(network: u32, len: u8, mut set: impl FnMut(usize, u64)) {
    const NETWORKS_OF_A_WORD: u32 = 64;
    for ((word, bit), shortest) in [(near::v4(network), 24_u8), (near::wide_v4(network), 18)] {
        let networks = 1_u32 << shortest.saturating_sub(len);
        if networks < NETWORKS_OF_A_WORD {
            // As many ones, from its own bit on: a prefix begins at a multiple of its size.
            set(word as usize, bit * ((1 << networks) - 1));
        } else {
            for at in 0..networks / NETWORKS_OF_A_WORD {
                set((word + at) as usize, u64::MAX);
            }
        }
    }
}
