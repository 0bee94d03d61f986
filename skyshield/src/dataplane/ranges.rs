//! Listed ranges as the program reads them: two generations, of which one is in force.

use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::libc;
use skyshield_common::{maps as names, range};

use super::error::Error;
use super::shared::Shared;

/// The ranges of both families.
pub(super) struct Ranges {
    v4: Shared,
    v6: Shared,
}

/// The generations in force, as the settings say them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generations {
    pub(super) v4: u64,
    pub(super) v6: u64,
}

/// Slots of the map of IPv4 ranges, where so many are to fit into each of two generations.
pub(super) fn slots_v4(ranges: u32) -> u32 {
    if ranges == 0 { 1 } else { range::words_v4(ranges).saturating_mul(2) }
}

/// The same for IPv6.
pub(super) fn slots_v6(ranges: u32) -> u32 {
    ranges.saturating_mul(2).max(1)
}

impl Ranges {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self { v4: Shared::open(dir, names::RANGES_V4)?, v6: Shared::open(dir, names::RANGES_V6)? })
    }

    /// `said`, as far as it lies in the maps; none of what does not.
    pub(super) fn checked(&self, said: Generations) -> Generations {
        let fits = |generation: u64, words: usize, slots: usize| {
            let end = range::base(generation) as usize + words;
            if range::count(generation) != 0 && end <= slots { generation } else { 0 }
        };
        let words = range::words_v4(range::count(said.v4)) as usize;
        Generations {
            v4: fits(said.v4, words, self.v4.words().len()),
            v6: fits(said.v6, range::count(said.v6) as usize, self.v6.words().len() / range::WORDS_V6),
        }
    }

    /// The ranges in force.
    pub(super) fn read_v4(&self, generations: Generations) -> Vec<(u32, u32)> {
        let start = (range::base(generations.v4).wrapping_add(range::INDEX_V4)) as usize;
        let words = start..start + range::count(generations.v4) as usize;
        let read = |at| self.v4.load(at);
        words.map(read).map(|word| (range::first_v4(word), range::last_v4(word))).collect()
    }

    /// The same for IPv6.
    pub(super) fn read_v6(&self, generations: Generations) -> Vec<(u128, u128)> {
        let start = range::base(generations.v6) as usize;
        let whole = |at| u128::from(self.v6.load(at)) << 64 | u128::from(self.v6.load(at + 1));
        (start..start + range::count(generations.v6) as usize)
            .map(|at| at * range::WORDS_V6)
            .map(|at| (whole(at), whole(at + 2)))
            .collect()
    }

    /// Writes the next generation beside the one in force; what is to be said for it to be the one.
    pub(super) fn write(&self, before: Generations, v4: &[(u32, u32)], v6: &[(u128, u128)]) -> Generations {
        // Nobody may still be reading what was in force before the last change.
        wait_for_readers();
        Generations { v4: self.write_v4(before.v4, v4), v6: self.write_v6(before.v6, v6) }
    }

    fn write_v4(&self, before: u64, ranges: &[(u32, u32)]) -> u64 {
        if ranges.is_empty() {
            return 0;
        }
        let base = other_half(before, self.v4.words().len());
        let start = (base + range::INDEX_V4) as usize;
        let mut network = 0;
        for (at, &(first, last)) in ranges.iter().enumerate() {
            self.v4.store(start + at, range::v4(first, last));
            // Each /16 up to where this one ends has nothing before it.
            while network <= last >> 16 {
                self.v4.store((base + network) as usize, at as u64);
                network += 1;
            }
        }
        while network < range::INDEX_V4 {
            self.v4.store((base + network) as usize, ranges.len() as u64);
            network += 1;
        }
        range::generation(base, counted(ranges.len()))
    }

    fn write_v6(&self, before: u64, ranges: &[(u128, u128)]) -> u64 {
        if ranges.is_empty() {
            return 0;
        }
        let base = other_half(before, self.v6.words().len() / range::WORDS_V6);
        for (at, &(first, last)) in ranges.iter().enumerate() {
            let at = (base as usize + at) * range::WORDS_V6;
            for (word, value) in [first >> 64, first, last >> 64, last].into_iter().enumerate() {
                #[expect(clippy::cast_possible_truncation, reason = "the halves of a number")]
                self.v6.store(at + word, value as u64);
            }
        }
        range::generation(base, counted(ranges.len()))
    }
}

/// Where the generation begins that is not in force.
fn other_half(in_force: u64, slots: usize) -> u32 {
    if range::count(in_force) != 0 && range::base(in_force) == 0 { counted(slots / 2) } else { 0 }
}

fn counted(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Waits until every packet has been judged that was being judged at the call: the program runs under
/// the kernel's read lock, and this command waits for all that hold it.
pub(super) fn wait_for_readers() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    /// Far longer than a packet takes to be judged.
    const LONG: Duration = Duration::from_millis(20);
    // SAFETY: numbers only.
    #[expect(unsafe_code, reason = "a system call")]
    let answer = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if answer != 0 {
        // A kernel with processors that are never interrupted does not know the command.
        thread::sleep(LONG);
    }
}
