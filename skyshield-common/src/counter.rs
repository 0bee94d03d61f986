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

/// One CPU's event sampler and what became of the events: seen = sent + skipped + lost.
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
}

impl EventCounter {
    /// A window is 2^20 ns, about a millisecond: a shift, because a division costs more.
    pub const WINDOW_SHIFT: u32 = 20;

    /// Whether one more event may go out at `now_ns`, at most `per_window` in one window.
    pub const fn take(&mut self, now_ns: u64, per_window: u64) -> bool {
        let window = now_ns >> Self::WINDOW_SHIFT;
        if self.window != window {
            self.window = window;
            self.taken = 0;
        }
        if self.taken >= per_window {
            return false;
        }
        self.taken += 1;
        true
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
}
