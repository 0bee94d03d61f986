//! Where the ban of a source is: five bytes each, beside the slot that holds the source itself.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::slab::{Place, Slab};
use crate::engine::source::Source;

/// By source. Nobody who does not know the key can choose sources that meet in one place.
#[derive(Debug, Default)]
pub(super) struct Sources {
    table: HashTable<Place>,
    keys: RandomState,
}

impl Sources {
    pub(super) fn find(&self, source: Source, slab: &Slab) -> Option<Place> {
        let hash = self.keys.hash_one(source);
        self.table.find(hash, |&place| slab.source(place) == Some(source)).copied()
    }

    pub(super) fn insert(&mut self, source: Source, place: Place, slab: &Slab) {
        let Self { table, keys } = self;
        // A place in the table is always a taken slot; another could not be found again, and does no harm.
        let hash_of = |place: &Place| slab.source(*place).map_or(0, |source| keys.hash_one(source));
        table.insert_unique(keys.hash_one(source), place, hash_of);
    }

    pub(super) fn remove(&mut self, source: Source, slab: &Slab) {
        let hash = self.keys.hash_one(source);
        if let Ok(found) = self.table.find_entry(hash, |&place| slab.source(place) == Some(source)) {
            found.remove();
        }
    }
}
