//! The flat table of IPv4 hosts, with its stash and its roster.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::Ordering;

use aya::maps::{HashMap, MapData};
use skyshield_common::host::{self, Hash, Hold, SLOTS};
use skyshield_common::maps as names;

use super::error::Error;
use super::family::{failed, open};
use super::roster::Roster;
use super::shared::Shared;

/// Banned and listed IPv4 addresses as the program reads them.
pub(super) struct Hosts {
    buckets: Shared,
    mask: u32,
    stash: HashMap<MapData, [u8; 4], u64>,
    stash_capacity: u32,
    /// How many there are in the stash.
    stashed: u32,
    /// Of all of them, where they may be many.
    roster: Option<Roster>,
}

/// Where an address is.
#[derive(Clone, Copy)]
enum Place {
    Slot(usize),
    Stash,
}

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
        let roster = Roster::open(dir, mask.saturating_add(1))?;
        let stash_capacity = host::stash_capacity(mask.saturating_add(1));
        Ok(Self { buckets, mask, stash, stash_capacity, stashed, roster })
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
        let (first, second) = host::buckets(Hash::of(address), self.mask);
        for bucket in [first, second] {
            self.buckets.fetch(bucket as usize * SLOTS);
        }
        if let Some(roster) = &self.roster {
            roster.foresee(address);
        }
    }

    fn find(&self, address: u32) -> Option<(Place, Hold)> {
        let (first, second) = host::buckets(Hash::of(address), self.mask);
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
        let before = found.map_or(Hold::NONE, |(_, before)| before);
        let is_less = hold.ends() < before.ends();
        if is_less {
            self.follow(address, before, hold);
        }
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
        if !is_less {
            self.follow(address, before, hold);
        }
        Ok(())
    }

    fn follow(&self, address: u32, before: Hold, after: Hold) {
        if let Some(roster) = &self.roster {
            roster.follow(address, before, after, |address| self.hold(address));
        }
    }

    /// Has the roster say what the table says, whatever an earlier daemon was doing when it died.
    pub(super) fn mend_roster(&self) -> Result<(), Error> {
        if let Some(roster) = &self.roster {
            roster.mend(&self.all()?);
        }
        Ok(())
    }

    fn stash_put(&mut self, key: [u8; 4], hold: Hold) -> Result<(), Error> {
        self.stash.insert(key, u64::from(hold.bits()), 0).map_err(failed("write", names::STASH_V4))
    }

    /// A free slot for an address that has none.
    fn free(&self, address: u32) -> Option<usize> {
        let (first, second) = host::buckets(Hash::of(address), self.mask);
        let free = |bucket: u32| slots(bucket).filter(|at| self.buckets.load(*at) == 0);
        let (left, right) = (free(first).count(), free(second).count());
        let preferred = if host::prefers_first((left, right)) { first } else { second };
        let home = preferred as usize * SLOTS + host::home(Hash::of(address));
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
