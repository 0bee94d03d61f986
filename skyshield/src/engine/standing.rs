//! Standing: what is known of a source from before this request.

use std::time::{Duration, Instant};

/// What is left of an incident's weight after this long is half.
const HALF_LIFE: Duration = Duration::from_hours(1);
/// What one incident of score 1 weighs.
const WEIGHT_OF_ONE: f64 = 0.4;

/// How much a source's past speaks against it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    weight: f64,
    as_of: Option<Instant>,
}

impl Standing {
    /// A standing of the given weight that does not fade.
    #[cfg(test)]
    pub(crate) fn of_weight(weight: f64) -> Self {
        Self { weight, as_of: None }
    }

    /// The weight, 0 (unknown or clean) to 1.
    pub fn weight(self) -> f64 {
        self.weight
    }

    /// The standing as it is at `now`: the past fades.
    #[must_use]
    pub fn at(self, now: Instant) -> Self {
        let Some(as_of) = self.as_of else { return self };
        let half_lives = now.saturating_duration_since(as_of).as_secs_f64() / HALF_LIFE.as_secs_f64();
        Self { weight: self.weight * 0.5_f64.powf(half_lives), as_of: Some(now) }
    }

    /// The standing after an incident of `score` (0 to 1) at `now`.
    #[must_use]
    pub fn after_incident(self, score: f64, now: Instant) -> Self {
        let before = self.at(now).weight;
        let weight = 1.0 - (1.0 - before) * (1.0 - WEIGHT_OF_ONE * score.clamp(0.0, 1.0));
        Self { weight, as_of: Some(now) }
    }

    /// Whether so little is left at `now` that the source may be forgotten.
    pub fn is_forgotten(self, now: Instant) -> bool {
        self.at(now).weight < 0.01
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
mod tests {
    use super::*;

    #[test]
    fn incidents_add_up_and_fade_by_half_every_half_life() {
        let start = Instant::now();
        let once = Standing::default().after_incident(1.0, start);
        let twice = once.after_incident(1.0, start);
        assert!(once.weight() < twice.weight() && twice.weight() < 1.0);
        let later = twice.at(start + HALF_LIFE);
        assert!((later.weight() * 2.0 - twice.weight()).abs() < 1e-9);
        assert!(twice.is_forgotten(start + HALF_LIFE * 12));
    }

    #[test]
    fn a_clock_that_steps_back_changes_nothing() {
        let start = Instant::now();
        let after = Standing::default().after_incident(1.0, start + HALF_LIFE);
        assert!((after.at(start).weight() - after.weight()).abs() < 1e-9);
    }
}
