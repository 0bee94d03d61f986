//! What is said of sources, published for the doors, and what they wonder about in return. No lock, no wait.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::opinion::Opinion;
use crate::engine::behaviour::source_of;
use crate::engine::feeds::special_purpose;

/// Sources that are wondered about between two looks; beyond it they are dropped and counted.
pub const MAX_WONDERS: usize = 8192;
/// Sources of which something is published at the most.
const MAX_SAID: usize = 200_000;

#[derive(Clone, Copy, Debug)]
struct Said {
    opinion: Opinion,
    until: Instant,
}

/// The meeting place of doors and desks.
#[derive(Debug, Default)]
pub struct Hearsay {
    said: papaya::HashMap<IpAddr, Said>,
    wonders: papaya::HashMap<IpAddr, (IpAddr, f32)>,
    is_asking: AtomicBool,
    dropped: AtomicU64,
}

impl Hearsay {
    /// What is said of `address` at `now`.
    pub fn of(&self, address: IpAddr, now: Instant) -> Option<Opinion> {
        if self.said.is_empty() {
            return None;
        }
        self.said.pin().get(&source_of(address)).filter(|said| now < said.until).map(|said| said.opinion)
    }

    /// Leaves word that it would be worth so much (0 to 1) to know what is said of `address`. Never waits.
    pub fn wonder(&self, address: IpAddr, worth: f32) {
        if !self.is_asking.load(Ordering::Relaxed) || special_purpose().contains(address) {
            return;
        }
        let (source, wonders) = (source_of(address), self.wonders.pin());
        let known = wonders.get(&source).map(|(_, known)| *known);
        if known.is_some_and(|known| known >= worth) {
            return;
        }
        if known.is_none() && wonders.len() >= MAX_WONDERS {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        wonders.insert(source, (address.to_canonical(), worth));
    }

    /// Hands over what is wondered about: the source, the address that showed it, and what it is worth.
    pub fn take_wonders(&self, mut each: impl FnMut(IpAddr, IpAddr, f32)) {
        let wonders = self.wonders.pin();
        for (source, (address, worth)) in &wonders {
            each(*source, *address, *worth);
            wonders.remove(source);
        }
    }

    /// Sets whether anybody asks: while nobody does, nothing is noted.
    pub fn set_asking(&self, is_asking: bool) {
        self.is_asking.store(is_asking, Ordering::Relaxed);
    }

    /// Publishes what is said of `address` until `until`; false where there is no room.
    pub fn say(&self, address: IpAddr, opinion: Opinion, until: Instant) -> bool {
        let (source, said) = (source_of(address), self.said.pin());
        let room = said.len() < MAX_SAID || said.contains_key(&source);
        if room {
            said.insert(source, Said { opinion, until });
        }
        room
    }

    /// Forgets what has ended at `now`.
    pub fn forget(&self, now: Instant) {
        self.said.pin().retain(|_, said| now < said.until);
    }

    /// Wonders that found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    #[test]
    fn wonders_are_bounded_and_of_one_source_the_highest_counts() {
        let hearsay = Hearsay::default();
        hearsay.wonder("45.0.0.1".parse().unwrap(), 0.5);
        hearsay.set_asking(true);
        for n in 0..10_000_u32 {
            hearsay.wonder(IpAddr::V4((0x2d00_0000 + n).into()), 0.1);
        }
        hearsay.wonder("45.0.0.1".parse().unwrap(), 0.7);
        hearsay.wonder("10.0.0.1".parse().unwrap(), 0.9);
        hearsay.wonder("2a00:1:2:3::7".parse().unwrap(), 0.9);
        let mut taken = Vec::new();
        hearsay.take_wonders(|_, address, worth| taken.push((address, worth)));
        assert_eq!(taken.len(), MAX_WONDERS);
        assert!(taken.contains(&("45.0.0.1".parse().unwrap(), 0.7)));
        assert_eq!(hearsay.dropped(), 10_000 - MAX_WONDERS as u64 + 1);
        taken.clear();
        hearsay.take_wonders(|_, address, worth| taken.push((address, worth)));
        assert!(taken.is_empty());
    }

    #[test]
    fn what_is_said_ends_by_itself_and_is_of_the_whole_network_of_an_address() {
        let (hearsay, now) = (Hearsay::default(), clock::now());
        let bad = Opinion { share: 0.9, ..Opinion::default() };
        assert!(hearsay.say("2a00:1:2:3::7".parse().unwrap(), bad, now + Duration::from_secs(9)));
        let other = "2a00:1:2:3::8".parse().unwrap();
        assert_eq!(hearsay.of(other, now), Some(bad));
        assert_eq!(hearsay.of(other, now + Duration::from_secs(9)), None);
        hearsay.forget(now + Duration::from_secs(9));
        assert!(hearsay.said.is_empty());
    }
}
