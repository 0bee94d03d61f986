//! Counters that each CPU keeps for itself and the user side sums.

/// What one CPU has seen of one reason.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Frames.
    pub packets: u64,
    /// Their whole lengths, Ethernet header included.
    pub bytes: u64,
}

/// One CPU's event sampler and what became of the events: seen = sent + skipped + lost + passed over.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounter {
    /// The window the sampler is in: nanoseconds shifted right by [`Self::WINDOW_SHIFT`].
    pub window: u64,
    /// Events let through in that window.
    pub taken: u64,
    /// Events written to the ring buffer.
    pub sent: u64,
    /// Events the sampler left out.
    pub skipped: u64,
    /// Events that found the ring buffer full.
    pub lost: u64,
    /// Hits of bans written down in that window.
    pub noted: u64,
    /// Hits since the last one that was written down, itself not counted.
    pub unnoted: u64,
    /// A window in which no event is left and no hit of a ban is written down any more.
    pub spent: u64,
    /// Hits of bans in that window, not yet among those skipped and not noted.
    pub passed_over: u64,
}

/// What one CPU keeps of one interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// What it has seen, by the [`Reason`](crate::Reason).
    pub counters: [Counter; REASONS],
    /// Its sampler of events.
    pub events: EventCounter,
}

/// Counters of a [`Tally`]: room for reasons to come, so that a new one does not change the map.
pub(crate) const REASONS: usize = 128;

impl EventCounter {
    /// A window is 2^20 ns, about a millisecond: a shift, because a division costs more.
    pub const WINDOW_SHIFT: u32 = 20;

    /// Whether the hit of a ban at `now_ns` is one of those that are only counted, of which most are in a
    /// flood; it is then.
    #[inline]
    pub const fn passes_over(&mut self, now_ns: u64) -> bool {
        if self.spent != now_ns >> Self::WINDOW_SHIFT {
            return false;
        }
        self.passed_over += 1;
        true
    }

    /// Counts as skipped and not noted what was passed over. To be asked before [`Self::note`].
    pub const fn settle(&mut self) {
        self.skipped += self.passed_over;
        self.unnoted += self.passed_over;
        self.passed_over = 0;
    }

    /// Says that neither an event nor a note is left in the window.
    pub const fn spend(&mut self) {
        self.spent = self.window;
    }

    /// Whether one more event may go out at `now_ns`, at most `per_window` in one window.
    pub const fn take(&mut self, now_ns: u64, per_window: u64) -> bool {
        let window = now_ns >> Self::WINDOW_SHIFT;
        if self.window != window {
            self.window = window;
            self.taken = 0;
            self.noted = 0;
        }
        if self.taken >= per_window {
            return false;
        }
        self.taken += 1;
        true
    }

    /// For how many hits the one at hand is to be written down; `None` where it is left for the next
    /// that is: at most `per_window` are. To be asked after [`Self::take`], which begins the window.
    ///
    /// No hit is lost: of few each is its own ban's, of very many a sample stands for those between.
    pub const fn note(&mut self, per_window: u64) -> Option<u64> {
        if self.noted >= per_window {
            self.unnoted += 1;
            return None;
        }
        self.noted += 1;
        let hits = self.unnoted + 1;
        self.unnoted = 0;
        Some(hits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sampler_lets_so_many_through_in_each_window() {
        let mut counter = EventCounter::default();
        for window in 1..4_u64 {
            let now_ns = window << EventCounter::WINDOW_SHIFT;
            let taken = (0..10).filter(|step| counter.take(now_ns + step, 3)).count();
            assert_eq!(taken, 3);
        }
        assert!(!counter.take(9 << EventCounter::WINDOW_SHIFT, 0));
    }

    #[test]
    fn every_hit_is_written_down_with_some_hit() {
        let mut counter = EventCounter::default();
        let (mut noted, mut over) = (0, 0);
        for hit in 0..1_000_u64 {
            let now_ns = (1 + hit / 100) << EventCounter::WINDOW_SHIFT;
            if counter.passes_over(now_ns) {
                over += 1;
                continue;
            }
            counter.settle();
            let is_told = counter.take(now_ns, 0);
            let hits = counter.note(3);
            if !is_told && hits.is_none() {
                counter.spend();
            }
            counter.skipped += u64::from(!is_told);
            noted += hits.unwrap_or_default();
        }
        assert_eq!((noted + counter.unnoted + counter.passed_over, over), (1_000, 960));
        assert_eq!((counter.unnoted, counter.passed_over), (1, 96));
        assert_eq!(counter.skipped + counter.passed_over, 1_000);
    }
}
