//! What came of requests that are known for what they are.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

/// Requests by name that went wrong, of each kind, at the most.
const MAX_NAMED: usize = 50;

/// What became of the requests of one category, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tally {
    /// Those that should be refused.
    pub attack: Attacks,
    /// Those that should not.
    pub legit: Honest,
}

/// Those that should be refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Attacks {
    /// How many.
    pub n: u64,
    /// Of these, those that were refused.
    pub detected: u64,
}

/// Those that should not be refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Honest {
    /// How many.
    pub n: u64,
    /// Of these, those that were refused.
    pub flagged: u64,
}

impl Tally {
    /// Counts a request.
    pub fn count(&mut self, is_attack: bool, refused: bool) {
        if is_attack {
            self.attack.n += 1;
            self.attack.detected += u64::from(refused);
        } else {
            self.legit.n += 1;
            self.legit.flagged += u64::from(refused);
        }
    }
}

/// What one rule did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleTally {
    /// Its own attacks.
    pub n: u64,
    /// Of these, those it claimed.
    pub claimed: u64,
    /// Of these, those that were refused, by whatever rule.
    pub refused: u64,
    /// Honest requests of any kind that it claimed.
    pub claimed_honest: u64,
}

/// The middle, the 99th of a hundred and the last of some values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Spread {
    /// Half are no greater.
    pub p50: f64,
    /// 99 of a hundred are no greater.
    pub p99: f64,
    /// None is greater.
    pub max: f64,
}

impl Spread {
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |percent: usize| values.get((values.len() * percent / 100).min(values.len().max(1) - 1));
        let value = |percent| at(percent).copied().unwrap_or_default();
        Self { p50: value(50), p99: value(99), max: value(100) }
    }
}

/// What a rehearsal came to, as shares of 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Of the attacks, those that were refused.
    pub detected: f64,
    /// Of the honest requests, those that were refused.
    pub flagged: f64,
}

/// What a rehearsal came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Outcome {
    /// All requests.
    pub total: Tally,
    /// By kind of attack, and of honest request.
    pub categories: BTreeMap<String, Tally>,
    /// By rule.
    pub rules: BTreeMap<String, RuleTally>,
    /// Requests of one attacker, who repeats himself, until he is banned.
    pub requests_to_ban: Spread,
    /// From the last byte of the attack that gets him banned to the entry in a map, in milliseconds. The map
    /// is a model of the kernel's.
    pub time_to_ban_ms: Spread,
    /// Attackers who were not banned, however often they came.
    pub never_banned: u64,
    /// Attacks that passed, some of them by name.
    pub missed: Vec<String>,
    /// Honest requests that were refused, some of them by name.
    pub flagged: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Outcome {
    pub(super) fn name_missed(&mut self, name: &str) {
        if self.missed.len() < MAX_NAMED {
            self.missed.push(name.to_owned());
        }
    }

    pub(super) fn name_flagged(&mut self, name: &str) {
        if self.flagged.len() < MAX_NAMED {
            self.flagged.push(name.to_owned());
        }
    }

    pub(super) fn took(&mut self, took: Duration) {
        self.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    }

    /// Its shares.
    pub fn figures(&self) -> Figures {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { count(part) / count(whole) };
        let Tally { attack, legit } = &self.total;
        Figures { detected: share(attack.detected, attack.n), flagged: share(legit.flagged, legit.n) }
    }
}

fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
