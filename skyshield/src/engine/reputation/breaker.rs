//! A circuit breaker: who fails time and again is left alone, for longer each time.

use std::time::{Duration, Instant};

/// Failures in a row after which it opens.
const BORNE: u32 = 5;
/// It stays open so long at first.
const FIRST: Duration = Duration::from_secs(30);
/// And so long at the most.
const LONGEST: Duration = Duration::from_hours(1);

/// Closed until too much fails.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    opened: u32,
    open_until: Option<Instant>,
    trying: bool,
}

impl Breaker {
    /// Whether something may be tried at `now`. After a pause, one thing at a time.
    pub(super) fn allows(&self, now: Instant) -> bool {
        match self.open_until {
            None => true,
            Some(until) => now >= until && !self.trying,
        }
    }

    /// Notes that something is tried.
    pub(super) fn tried(&mut self) {
        self.trying = self.open_until.is_some();
    }

    /// Notes that it went well.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Notes that it did not, at `now`; `chance` (0 to 1) keeps many from coming back at once.
    pub(super) fn failed(&mut self, now: Instant, chance: f64) {
        self.failures = self.failures.saturating_add(1);
        self.trying = false;
        if self.failures < BORNE && self.open_until.is_none() {
            return;
        }
        if self.open_until.is_some_and(|until| now < until) {
            return;
        }
        let pause = FIRST.saturating_mul(1 << self.opened.min(16)).min(LONGEST);
        self.opened = self.opened.saturating_add(1);
        self.open_until = now.checked_add(pause.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0));
    }

    /// Leaves it alone for this long.
    pub(super) fn pause(&mut self, now: Instant, pause: Duration) {
        self.trying = false;
        self.open_until = now.checked_add(pause.min(LONGEST)).max(self.open_until);
    }

    /// Whether it is open at `now`.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.open_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn who_fails_is_left_alone_for_longer_each_time_and_tried_one_at_a_time() {
        let (mut breaker, mut now) = (Breaker::default(), clock::now());
        for _ in 0..BORNE {
            assert!(breaker.allows(now));
            breaker.tried();
            breaker.failed(now, 0.5);
        }
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert!(!breaker.allows(now) && breaker.is_open(now));
            let until = breaker.open_until.unwrap();
            pauses.push(until - now);
            now = until;
            assert!(breaker.allows(now));
            breaker.tried();
            assert!(!breaker.allows(now), "one at a time");
            breaker.failed(now, 0.5);
        }
        assert_eq!((pauses[0], pauses[1], pauses[8]), (FIRST, FIRST * 2, LONGEST));
        now = breaker.open_until.unwrap();
        breaker.tried();
        breaker.succeeded();
        assert!(breaker.allows(now) && !breaker.is_open(now));
    }
}
