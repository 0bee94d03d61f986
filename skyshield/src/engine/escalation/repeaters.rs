//! Who was banned before, and how often.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Config;
use crate::engine::source::Source;

#[derive(Clone, Copy, Debug)]
struct Earlier {
    times: u32,
    last: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Repeaters {
    known: HashMap<Source, Earlier>,
    refused: u64,
}

impl Repeaters {
    /// Notes a ban of `source` at `now` and says how many there were before it.
    pub(super) fn note(&mut self, source: Source, now: Instant, config: &Config) -> u32 {
        let remember = Duration::from_secs(config.remember_secs);
        let earlier = self.known.get(&source).filter(|earlier| !is_over(earlier, now, remember));
        let times = earlier.map_or(0, |earlier| earlier.times);
        self.restore(source, times.saturating_add(1), now, config.tracked);
        times
    }

    pub(super) fn restore(&mut self, source: Source, times: u32, last: Instant, room: usize) {
        if self.known.len() < room || self.known.contains_key(&source) {
            self.known.insert(source, Earlier { times, last });
        } else {
            self.refused += 1;
        }
    }

    pub(super) fn forget(&mut self, source: Source) {
        self.known.retain(|known, _| !source.covers(*known));
    }

    pub(super) fn forget_faded(&mut self, now: Instant, config: &Config) {
        let remember = Duration::from_secs(config.remember_secs);
        self.known.retain(|_, earlier| !is_over(earlier, now, remember));
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

fn is_over(earlier: &Earlier, now: Instant, remember: Duration) -> bool {
    now.saturating_duration_since(earlier.last) > remember
}
