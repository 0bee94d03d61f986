//! What is kept of requests that passed until a proxy tells what became of them, and of those that we
//! refused ourselves. Both of a fixed size.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;

use crate::verdict::Trail;

/// A refusal shows in a log within this time.
const LOGGED_WITHIN: Duration = Duration::from_mins(5);
/// Refused sources that are remembered at a time.
const REFUSED: usize = 65_536;

/// Requests whose outcome is awaited: a ring, in which the newest takes the place of the oldest.
#[derive(Debug)]
pub(super) struct Awaited {
    places: Vec<Mutex<Option<(u64, Trail)>>>,
    next: AtomicU64,
    forgotten: IntCounter,
}

impl Awaited {
    /// Room for `size`; ids begin at `start`, so that those of an earlier life are nobody's.
    pub(super) fn new(size: usize, start: u64, forgotten: IntCounter) -> Self {
        Self {
            places: std::iter::repeat_with(Mutex::default).take(size).collect(),
            next: AtomicU64::new(start),
            forgotten,
        }
    }

    /// Keeps `trail`; the id by which its outcome is told.
    pub(super) fn keep(&self, trail: Trail) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(place) = self.place(id) {
            let last = place.lock().unwrap_or_else(PoisonError::into_inner).replace((id, trail));
            if last.is_some() {
                self.forgotten.inc();
            }
        }
        id
    }

    /// What was kept as `id`, once.
    pub(super) fn take(&self, id: u64) -> Option<Trail> {
        let mut place = self.place(id)?.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, trail) = place.take_if(|(kept, _)| *kept == id)?;
        Some(trail)
    }

    fn place(&self, id: u64) -> Option<&Mutex<Option<(u64, Trail)>>> {
        let at = id.checked_rem(self.places.len() as u64)?;
        self.places.get(usize::try_from(at).ok()?)
    }
}

/// How many of a source's requests were refused by ourselves and have not shown in a log yet.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Refused {
    /// One more, at `now`. Where there is no room, those that are past are forgotten, or else this one.
    pub(super) fn note(&self, address: IpAddr, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REFUSED && !all.contains_key(&address) {
            all.retain(|_, (_, last)| now.saturating_duration_since(*last) < LOGGED_WITHIN);
            if all.len() >= REFUSED {
                return;
            }
        }
        let (count, last) = all.entry(address).or_insert((0, now));
        (*count, *last) = (count.saturating_add(1), now);
    }

    /// Whether a refusal of `address` that shows in a log at `now` is one of them; then it is one less.
    pub(super) fn shows(&self, address: IpAddr, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((count, last)) = all.get_mut(&address) else { return false };
        let is_one = now.saturating_duration_since(*last) < LOGGED_WITHIN;
        *count = count.saturating_sub(1);
        if *count == 0 || !is_one {
            all.remove(&address);
        }
        is_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_refusal_of_ours_shows_once_and_not_forever() {
        let (refused, now) = (Refused::default(), clock::now());
        let [one, other] = [[203, 0, 113, 7], [203, 0, 113, 8]].map(IpAddr::from);
        refused.note(one, now);
        refused.note(one, now);
        assert!(!refused.shows(other, now));
        assert!(refused.shows(one, now) && refused.shows(one, now) && !refused.shows(one, now));
        refused.note(one, now);
        assert!(!refused.shows(one, now + LOGGED_WITHIN));
    }

    #[test]
    fn more_refused_sources_than_there_is_room_for_push_nobody_out_early() {
        let (refused, now) = (Refused::default(), clock::now());
        let room = u32::try_from(REFUSED).unwrap();
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..room + 10 {
            refused.note(address(number), now);
        }
        assert!(refused.shows(address(0), now) && !refused.shows(address(room + 1), now));
        let later = now + LOGGED_WITHIN;
        refused.note(address(room + 2), later);
        refused.note(address(room + 3), later);
        assert_eq!(refused.0.lock().unwrap().len(), 2, "those that are past made room");
        assert!(refused.shows(address(room + 3), later));
    }
}
