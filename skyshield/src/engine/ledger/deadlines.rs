//! When bans end, soonest first: eight bytes each.

use std::collections::BTreeSet;

use super::slab::Place;

/// Ends are sorted into ticks of 2^24 nanoseconds (17 ms); which of one tick are over is told by the exact
/// ones in the slots.
const TICK_BITS: u32 = 24;

/// By tick. What is further away than ticks go (a year) waits at the last.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeSet<(u32, Place)>);

impl Deadlines {
    pub(super) fn insert(&mut self, nanos: i64, place: Place) {
        self.0.insert((tick(nanos), place));
    }

    pub(super) fn remove(&mut self, nanos: i64, place: Place) {
        self.0.remove(&(tick(nanos), place));
    }

    /// One of those that end soonest; another may end up to a tick before it.
    pub(super) fn first(&self) -> Option<Place> {
        self.0.first().map(|&(_, place)| place)
    }

    /// All that are over at `nanos`, and of the last tick some that are not yet.
    pub(super) fn up_to(&self, nanos: i64) -> impl Iterator<Item = Place> + '_ {
        self.0.range(..=(tick(nanos), Place::MAX)).map(|&(_, place)| place)
    }
}

/// Ends are counted from the first one noted; those before it are half of all ticks.
fn tick(nanos: i64) -> u32 {
    let ticks = (nanos >> TICK_BITS).saturating_add(1 << 31);
    u32::try_from(ticks.max(0)).unwrap_or(u32::MAX)
}
