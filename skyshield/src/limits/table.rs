//! How much of its quota each source and user has used: bounded, whoever comes.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Entries that share one place; a key can be in any of them.
const WAYS: usize = 8;
/// Parts of the table with a lock each.
const SHARDS: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// The key's fingerprint; 0 is nobody's.
    key: u64,
    /// When all of the quota is there again, in nanoseconds since the table was made.
    whole_at: u64,
}

type Set = [Entry; WAYS];

/// So many requests in so much time, as a virtual schedule (GCRA): all of the quota may be used at
/// once, and comes back evenly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// What one request costs, in nanoseconds.
    pub(super) step: u64,
    /// What may be used up ahead, in nanoseconds.
    pub(super) window: u64,
}

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// It is within the quota, of which this much is left, in nanoseconds of the window.
    Within { left: u64 },
    /// It is not, for this long.
    Over { wait: u64 },
}

/// A table of a fixed size.
///
/// Where a place is full, the entry that is whole again soonest makes room: what has used most of
/// its quota is forgotten last, so that no crowd of newcomers frees who is limited.
#[derive(Debug)]
pub(super) struct Table {
    shards: Vec<Mutex<Vec<Set>>>,
    sets_per_shard: usize,
    keys: RandomState,
    made_at: Instant,
}

impl Table {
    /// A table of about `capacity` entries of 16 bytes, whose time begins at `now`.
    pub(super) fn new(capacity: usize, now: Instant) -> Self {
        let sets_per_shard = capacity.div_ceil(WAYS * SHARDS).max(1);
        let shard = || Mutex::new(vec![[Entry::default(); WAYS]; sets_per_shard]);
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            sets_per_shard,
            keys: RandomState::new(),
            made_at: now,
        }
    }

    /// The fingerprint of a key. Nobody who does not know the table's secret can aim at another's.
    pub(super) fn fingerprint(&self, key: impl Hash) -> u64 {
        self.keys.hash_one(key).max(1)
    }

    /// Charges one request at `now`; and whether another live entry had to make room.
    pub(super) fn charge(&self, key: u64, rate: Rate, now: Instant) -> (Charge, bool) {
        let now = nanos(now.saturating_duration_since(self.made_at));
        self.with_set(key, |set| {
            let (entry, evicted) = place(set, key, now);
            // What was used up ahead by another window counts as this whole one, and no longer.
            entry.whole_at = entry.whole_at.clamp(now, now.saturating_add(rate.window));
            let whole_at = entry.whole_at.saturating_add(rate.step);
            let ahead = whole_at - now;
            if ahead > rate.window {
                return (Charge::Over { wait: ahead - rate.window }, evicted);
            }
            entry.whole_at = whole_at;
            (Charge::Within { left: rate.window - ahead }, evicted)
        })
    }

    /// Takes a charge back.
    pub(super) fn refund(&self, key: u64, rate: Rate) {
        self.with_set(key, |set| {
            if let Some(entry) = set.iter_mut().find(|entry| entry.key == key) {
                entry.whole_at = entry.whole_at.saturating_sub(rate.step);
            }
        });
    }

    fn with_set<T: Default>(&self, key: u64, act: impl FnOnce(&mut Set) -> T) -> T {
        let place = usize::try_from(key).unwrap_or(usize::MAX);
        let Some(shard) = self.shards.get(place % SHARDS) else { return T::default() };
        let mut sets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        sets.get_mut(place / SHARDS % self.sets_per_shard).map(act).unwrap_or_default()
    }
}

impl Default for Charge {
    fn default() -> Self {
        Self::Within { left: 0 }
    }
}

/// The entry of `key`, made where there is none; and whether that took another's.
fn place(set: &mut Set, key: u64, now: u64) -> (&mut Entry, bool) {
    let found = set.iter().position(|entry| entry.key == key);
    let soonest = || set.iter().enumerate().min_by_key(|(_, entry)| entry.whole_at).map_or(0, |(at, _)| at);
    let at = found.unwrap_or_else(soonest);
    let entry = &mut set[at];
    let evicted = found.is_none() && entry.whole_at > now;
    if found.is_none() {
        *entry = Entry { key, whole_at: now };
    }
    (entry, evicted)
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SECOND: u64 = 1_000_000_000;
    const FIVE_IN_300: Rate = Rate { step: 60 * SECOND, window: 300 * SECOND };

    #[test]
    fn the_quota_is_exact_at_the_boundary_and_comes_back_evenly() {
        let now = clock::now();
        let table = Table::new(1024, now);
        let charge = |secs: u64| table.charge(7, FIVE_IN_300, now + Duration::from_secs(secs)).0;
        for left in [240, 180, 120, 60, 0] {
            assert_eq!(charge(0), Charge::Within { left: left * SECOND });
        }
        assert_eq!(charge(0), Charge::Over { wait: 60 * SECOND });
        assert_eq!(charge(59), Charge::Over { wait: SECOND });
        assert_eq!(charge(60), Charge::Within { left: 0 });
        assert_eq!(charge(60), Charge::Over { wait: 60 * SECOND });
        assert_eq!(charge(100_000), Charge::Within { left: 240 * SECOND });
    }

    #[test]
    fn a_million_newcomers_take_no_more_room_and_free_nobody_who_is_limited() {
        let now = clock::now();
        let table = Table::new(65_536, now);
        let limited = table.fingerprint("the one");
        while matches!(table.charge(limited, FIVE_IN_300, now).0, Charge::Within { .. }) {}
        let mut evicted = 0;
        for newcomer in 0_u32..1_000_000 {
            let (charge, took) = table.charge(table.fingerprint(newcomer), FIVE_IN_300, now);
            assert!(matches!(charge, Charge::Within { .. }));
            evicted += u32::from(took);
        }
        assert!(matches!(table.charge(limited, FIVE_IN_300, now).0, Charge::Over { .. }));
        assert!(evicted > 900_000, "{evicted}: the table has a fixed size");
    }

    #[test]
    fn a_refund_gives_one_request_back() {
        let now = clock::now();
        let table = Table::new(64, now);
        while matches!(table.charge(7, FIVE_IN_300, now).0, Charge::Within { .. }) {}
        table.refund(7, FIVE_IN_300);
        assert_eq!(table.charge(7, FIVE_IN_300, now).0, Charge::Within { left: 0 });
    }
}
