//! Rules as the program reads them: two generations, of which one is in force; and what they have met.

use std::path::Path;

use aya::maps::{MapData, PerCpuArray};
use skyshield_common::rules::{ROWS, Row};
use skyshield_common::{Counter, maps as names};

use super::error::Error;
use super::family::{Value, failed, open};
use super::ranges::wait_for_readers;
use super::rules::Image;
use super::shared::Shared;
use super::stats::added;

/// Rows of the map: one that is nobody's, so that no generation begins at 0, and two generations.
pub(super) const SLOTS: u32 = 2 * ROWS + 1;
const WORDS: usize = size_of::<Row>() / 8;

/// The maps of rules.
pub(super) struct RuleMaps {
    rows: Shared,
    hits: PerCpuArray<MapData, Value<Counter>>,
}

impl RuleMaps {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self { rows: Shared::open(dir, names::RULES)?, hits: open(dir, names::HITS)? })
    }

    /// Writes the next generation beside the one in force; what is to be said for it to be the one.
    pub(super) fn write(&self, before: u64, image: &Image) -> u64 {
        wait_for_readers();
        let base = if before == 1 { 1 + ROWS } else { 1 };
        for (at, row) in image.iter().enumerate() {
            for (word, value) in row.iter().enumerate() {
                self.rows.store((base as usize + at) * WORDS + word, *value);
            }
        }
        base.into()
    }

    /// Whether what lies in force is this.
    pub(super) fn holds(&self, in_force: u64, image: &Image) -> bool {
        let base = usize::try_from(in_force).unwrap_or_default();
        let rows = image.iter().enumerate();
        base != 0
            && rows
                .flat_map(|(at, row)| row.iter().enumerate().map(move |(word, value)| (at, word, value)))
                .all(|(at, word, value)| self.rows.load((base + at) * WORDS + word) == *value)
    }

    /// What was counted in these slots.
    pub(super) fn hits(&self, slots: std::ops::Range<u32>) -> Result<Vec<Counter>, Error> {
        let read = |slot| {
            let per_cpu = self.hits.get(&slot, 0).map_err(failed("read", names::HITS))?;
            Ok(per_cpu.iter().fold(Counter::default(), |sum, Value(counter)| added(sum, *counter)))
        };
        slots.map(read).collect()
    }

    /// Begins to count anew in these slots.
    pub(super) fn forget(&mut self, slots: std::ops::Range<u32>) -> Result<(), Error> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| {
            failed("count processors for", names::HITS)(aya::maps::MapError::IoError(error))
        })?;
        for slot in slots {
            let none = aya::maps::PerCpuValues::try_from(vec![Value(Counter::default()); cpus])
                .map_err(|error| failed("write", names::HITS)(aya::maps::MapError::IoError(error)))?;
            self.hits.set(slot, none, 0).map_err(failed("write", names::HITS))?;
        }
        Ok(())
    }
}
