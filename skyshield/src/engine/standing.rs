//! Standing: what is known of a source from before this request.

use std::time::{Duration, Instant};

use super::behaviour::{Claims, Detector};

/// What is left of an incident's weight after this long is half.
const HALF_LIFE: Duration = Duration::from_hours(1);
/// What one incident of score 1 weighs.
const WEIGHT_OF_ONE: f64 = 0.4;

/// How much a source's past, its place and what others say of it speak against it. What is not known
/// is neither clean nor bad.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    weight: f64,
    as_of: Option<Instant>,
    reputation: Option<f32>,
    indicator: Option<f32>,
    origin: Option<Origin>,
    policy: Option<f32>,
    claims: Claims,
}

/// Where a source is, as far as known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The country, in two capitals.
    pub country: Option<[u8; 2]>,
    /// The number of its network.
    pub asn: Option<u32>,
    /// Whether it is in a data centre.
    pub is_hosting: bool,
    /// Whether it is an exit of Tor.
    pub is_tor: bool,
    /// Whether it is a public proxy or a VPN.
    pub is_proxy: bool,
}

impl Origin {
    /// Both: what this says, and what only the other one knows.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            country: self.country.or(other.country),
            asn: self.asn.or(other.asn),
            is_hosting: self.is_hosting || other.is_hosting,
            is_tor: self.is_tor || other.is_tor,
            is_proxy: self.is_proxy || other.is_proxy,
        }
    }
}

impl Standing {
    /// A standing of the given weight that does not fade.
    #[cfg(test)]
    pub(crate) fn of_weight(weight: f64) -> Self {
        Self { weight, ..Self::default() }
    }

    /// The weight of earlier incidents, 0 (unknown or clean) to 1.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// How bad others say the source is, 0 to 1.
    pub fn reputation(&self) -> Option<f32> {
        self.reputation
    }

    /// How sure the indicator of the source, or of its neighbourhood, is, 0 to 1.
    pub fn indicator(&self) -> Option<f32> {
        self.indicator
    }

    /// Where the source is.
    pub fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// How much a policy of the operator's weighs against the place of the source, 0 to 1.
    pub fn policy(&self) -> Option<f32> {
        self.policy
    }

    /// The same, and a policy weighs so much against its place.
    #[must_use]
    pub fn with_policy(self, weight: f32) -> Self {
        Self { policy: Some(weight), ..self }
    }

    /// Only what its own incidents have made of it: the rest is looked up each time.
    #[must_use]
    pub fn of_its_own(self) -> Self {
        Self { weight: self.weight, as_of: self.as_of, ..Self::default() }
    }

    /// The same, and others say that the source is this bad, 0 to 1.
    #[must_use]
    pub fn with_reputation(self, reputation: f32) -> Self {
        Self { reputation: Some(reputation), ..self }
    }

    /// The same, and an indicator that is this sure, 0 to 1, speaks against the source.
    #[must_use]
    pub fn with_indicator(self, confidence: f32) -> Self {
        Self { indicator: Some(confidence), ..self }
    }

    /// The same, and the source is at `origin`.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// What the source's behaviour amounts to.
    pub fn behaviour(&self) -> impl Iterator<Item = (Detector, f64)> + '_ {
        // As of the moment for which the standing was asked.
        let now = self.as_of.or(self.claims.as_of());
        now.into_iter().flat_map(|now| self.claims.at(now))
    }

    /// The same, and its behaviour amounts to `claims`.
    #[must_use]
    pub fn with_behaviour(self, claims: Claims) -> Self {
        Self { claims, ..self }
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        self.weight <= 0.0
            && self.reputation.is_none()
            && self.indicator.is_none()
            && self.origin.is_none()
            && self.policy.is_none()
            && self.claims.is_empty()
    }

    /// The standing as it is at `now`: the past fades.
    #[must_use]
    pub fn at(self, now: Instant) -> Self {
        let Some(as_of) = self.as_of else {
            return Self { as_of: self.claims.as_of().and(Some(now)), ..self };
        };
        let half_lives = now.saturating_duration_since(as_of).as_secs_f64() / HALF_LIFE.as_secs_f64();
        Self { weight: self.weight * 0.5_f64.powf(half_lives), as_of: Some(now), ..self }
    }

    /// The standing after an incident of `score` (0 to 1) at `now`.
    #[must_use]
    pub fn after_incident(self, score: f64, now: Instant) -> Self {
        let before = self.at(now).weight;
        let weight = 1.0 - (1.0 - before) * (1.0 - WEIGHT_OF_ONE * score.clamp(0.0, 1.0));
        Self { weight, as_of: Some(now), ..self }
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
