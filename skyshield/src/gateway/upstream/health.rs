//! Whether an upstream gets requests: by what checks say, and by what became of requests.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::engine::upstream::State;
use crate::gateway::sites;

/// What is known of one upstream. Read for every request, written when something changes.
#[derive(Debug)]
pub(super) struct Health {
    start: Instant,
    down: AtomicBool,
    /// Requests in a row that it failed.
    failed: AtomicU32,
    /// Until when it rests, in milliseconds from `start`; 0 where it does not.
    rests_until: AtomicU64,
    failures: u32,
    rest: Duration,
}

impl Health {
    /// Nothing speaks against an upstream at first.
    pub(super) fn new(config: &sites::Health, start: Instant) -> Self {
        Self {
            start,
            down: AtomicBool::new(false),
            failed: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
            failures: config.failures,
            rest: Duration::from_secs(config.rest_secs),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    pub(super) fn state(&self, now: Instant) -> State {
        let rests_until = self.rests_until.load(Ordering::Relaxed);
        if self.is_down() {
            State::Down
        } else if rests_until > 0 && self.millis(now) < rests_until {
            State::Resting
        } else {
            State::Up
        }
    }

    /// A request was answered.
    pub(super) fn answered(&self) {
        // Writing what is there already would cost every request a shared cache line.
        if self.failed.load(Ordering::Relaxed) > 0 {
            self.failed.store(0, Ordering::Relaxed);
            self.rests_until.store(0, Ordering::Relaxed);
        }
    }

    /// A request was not answered. After a rest, one such request is enough for another.
    pub(super) fn failed(&self, now: Instant) {
        let failed = self.failed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if self.failures > 0 && failed >= self.failures {
            self.rests_until.store(self.millis(now + self.rest).max(1), Ordering::Relaxed);
        }
    }

    /// Takes what a check said, of which `streak` knows the last ones; whether that changed anything.
    pub(super) fn checked(&self, streak: &mut Streak, good: bool) -> bool {
        let was_down = self.is_down();
        let is_down = streak.then(good, was_down);
        self.down.store(is_down, Ordering::Relaxed);
        is_down != was_down
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Checks in a row that speak against what is held of an upstream.
#[derive(Debug)]
pub(super) struct Streak {
    rise: u32,
    fall: u32,
    against: u32,
}

impl Streak {
    pub(super) fn new(config: &sites::Health) -> Self {
        Self { rise: config.rise, fall: config.fall, against: 0 }
    }

    /// Whether an upstream that `was_down` is down after another check.
    fn then(&mut self, good: bool, was_down: bool) -> bool {
        self.against = if good == was_down { self.against + 1 } else { 0 };
        let needed = if was_down { self.rise } else { self.fall };
        if self.against < needed {
            return was_down;
        }
        self.against = 0;
        !was_down
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn config() -> sites::Health {
        sites::Health { rise: 2, fall: 3, failures: 3, rest_secs: 10, ..sites::Health::default() }
    }

    #[test]
    fn checks_count_only_in_a_row() {
        let health = Health::new(&config(), clock::now());
        let mut streak = Streak::new(&config());
        let mut told = Vec::new();
        for good in [false, false, true, false, false, false, true, false, true, true, true] {
            health.checked(&mut streak, good);
            told.push(health.is_down());
        }
        let expected = [false, false, false, false, false, true, true, true, true, false, false];
        assert_eq!(told, expected);
    }

    #[test]
    fn who_fails_requests_in_a_row_rests_and_is_tried_again_with_one() {
        let now = clock::now();
        let health = Health::new(&config(), now);
        let at = |secs| now + Duration::from_secs(secs);
        health.failed(at(0));
        health.failed(at(0));
        health.answered();
        for _ in 0..2 {
            health.failed(at(1));
        }
        assert_eq!(health.state(at(1)), State::Up);
        health.failed(at(1));
        assert_eq!((health.state(at(1)), health.state(at(10))), (State::Resting, State::Resting));
        assert_eq!(health.state(at(12)), State::Up);
        health.failed(at(12));
        assert_eq!(health.state(at(13)), State::Resting, "one more failure after a rest is another rest");
        health.answered();
        assert_eq!(health.state(at(13)), State::Up);
        let never = Health::new(&sites::Health { failures: 0, ..config() }, now);
        (0..100).for_each(|_| never.failed(now));
        assert_eq!(never.state(now), State::Up);
    }
}
