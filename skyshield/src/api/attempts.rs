//! Attempts to log in: so many from one source, so many from all together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failed attempts of one source in a window.
const OF_ONE: u32 = 5;
/// Failed attempts of all sources together in a window.
const OF_ALL: u32 = 60;
/// How long a window is.
const WINDOW: Duration = Duration::from_mins(5);
/// Sources that are remembered; beyond it, new ones are turned away until the window is over.
const MAX_SOURCES: usize = 4096;

/// The attempts of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    of: HashMap<IpAddr, Window>,
    all: Option<Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    count: u32,
}

impl Window {
    fn ends(self) -> Instant {
        self.began + WINDOW
    }
}

impl Attempts {
    /// Takes an attempt from `source`, or says for how long there are none. A success gives it back.
    pub(super) fn take(&self, source: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut known = self.known();
        known.forget(now);
        let wait = |window: Window| window.ends().saturating_duration_since(now);
        if let Some(all) = known.all.filter(|all| all.count >= OF_ALL) {
            return Err(wait(all));
        }
        if let Some(window) = known.of.get(&source).copied().filter(|window| window.count >= OF_ONE) {
            return Err(wait(window));
        }
        if known.of.len() >= MAX_SOURCES && !known.of.contains_key(&source) {
            return Err(WINDOW);
        }
        known.of.entry(source).or_insert(Window { began: now, count: 0 }).count += 1;
        known.all.get_or_insert(Window { began: now, count: 0 }).count += 1;
        Ok(())
    }

    /// The attempt was a success: its source's failures are forgotten, and it counts for nobody.
    pub(super) fn succeeded(&self, source: IpAddr) {
        let mut known = self.known();
        known.of.remove(&source);
        if let Some(all) = &mut known.all {
            all.count = all.count.saturating_sub(1);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Whoever panicked has left counts that are whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget(&mut self, now: Instant) {
        self.of.retain(|_, window| now < window.ends());
        self.all = self.all.filter(|all| now < all.ends());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn source(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn one_source_has_so_many_attempts_and_others_go_on() {
        let (attempts, now) = (Attempts::default(), clock::now());
        for _ in 0..OF_ONE {
            assert_eq!(attempts.take(source(1), now), Ok(()));
        }
        assert_eq!(attempts.take(source(1), now), Err(WINDOW));
        assert_eq!(attempts.take(source(2), now), Ok(()));
        assert_eq!(attempts.take(source(1), now + WINDOW), Ok(()));
    }

    #[test]
    fn all_together_have_so_many_attempts() {
        let (attempts, now) = (Attempts::default(), clock::now());
        for number in 0..OF_ALL {
            assert_eq!(attempts.take(source(number.to_le_bytes()[0]), now), Ok(()));
        }
        assert!(attempts.take(source(200), now).is_err());
    }

    #[test]
    fn a_success_is_no_failure() {
        let (attempts, now) = (Attempts::default(), clock::now());
        for _ in 0..100 {
            assert_eq!(attempts.take(source(1), now), Ok(()));
            attempts.succeeded(source(1));
        }
    }
}
