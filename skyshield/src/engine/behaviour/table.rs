//! A table of a fixed size: where a place is full, whoever is least suspicious and longest silent goes.

use std::time::Duration;

use super::secs;

/// Entries that share a place; a key can be in any of them.
const WAYS: usize = 8;

/// What can be kept in a [`Table`].
pub(super) trait Kept: Default {
    /// How much would be lost with it, 0 to 1.
    fn worth(&self) -> f32;
}

#[derive(Debug)]
struct Entry<T> {
    key: u64,
    last: u32,
    kept: T,
}

#[derive(Debug)]
pub(super) struct Table<T> {
    places: Vec<Vec<Entry<T>>>,
    len: usize,
    evicted: u64,
}

impl<T: Kept> Table<T> {
    /// A table of about `capacity` entries; rooms are made as they are needed.
    pub(super) fn new(capacity: usize) -> Self {
        let mut places = Vec::new();
        places.resize_with(capacity.div_ceil(WAYS).max(1), Vec::new);
        Self { places, len: 0, evicted: 0 }
    }

    /// What is kept of `key`, new if there was nothing.
    pub(super) fn entry(&mut self, key: u64, now: Duration) -> &mut T {
        let last = secs(now);
        let count = self.places.len() as u64;
        let place = usize::try_from(key % count).unwrap_or(0);
        let place = &mut self.places[place];
        let at = place.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            let new = Entry { key, last, kept: T::default() };
            if place.len() < WAYS {
                self.len += 1;
                place.push(new);
                return place.len() - 1;
            }
            let least = |one: &Entry<T>, other: &Entry<T>| {
                one.kept.worth().total_cmp(&other.kept.worth()).then(one.last.cmp(&other.last))
            };
            let at =
                (1..WAYS).fold(0, |best, at| if least(&place[at], &place[best]).is_lt() { at } else { best });
            self.evicted += 1;
            place[at] = new;
            at
        });
        let entry = &mut place[at];
        entry.last = last;
        &mut entry.kept
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }
}
