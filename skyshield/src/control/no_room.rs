//! Bans that find no room and that nobody waits for: each is counted, and once in a while it is told.

use std::fmt::Display;
use std::time::{Duration, Instant};

use super::Task;
use crate::clock;
use crate::engine::source::Source;

/// How often it is told.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// How many there were since it was told.
#[derive(Debug, Default)]
pub(super) struct Untold {
    told_at: Option<Instant>,
    bans: u64,
}

impl Untold {
    /// Counts one; how many it is time to tell of.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.bans += 1;
        if self.told_at.is_some_and(|at| now.saturating_duration_since(at) < TOLD_EVERY) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.bans))
    }
}

impl Task {
    /// Tells that there is no room for a ban of `source`, unless it was told within the last minute.
    pub(super) fn tell_no_room(&mut self, source: Source, why: &impl Display) {
        if let Some(bans) = self.untold.count(clock::now()) {
            tracing::error!(%source, bans, %why, "a ban finds no room");
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_once_and_then_once_a_minute_of_all_since() {
        let (mut untold, now) = (Untold::default(), Instant::now());
        assert_eq!(untold.count(now), Some(1));
        for secs in 1..60 {
            assert_eq!(untold.count(now + Duration::from_secs(secs)), None);
        }
        assert_eq!(untold.count(now + Duration::from_mins(1)), Some(60));
        assert_eq!(untold.count(now + Duration::from_secs(61)), None);
    }
}
