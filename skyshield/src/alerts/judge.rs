//! Rules over readings, with hysteresis and hold times. Pure: time comes in, changes go out.

use std::collections::BTreeMap;

use super::config::{RuleConfig, Severity};
use crate::engine::reading::Readings;
use crate::store::names;

/// Alerts that are watched at once; beyond it a further one is not begun, and that is counted.
pub(super) const MAX_ALERTS: usize = 20_000;

/// An alert that fires, or has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alert {
    /// Its id, given by whoever keeps it.
    pub(super) id: String,
    pub(super) rule: String,
    /// Of which of several it is.
    pub(super) which: String,
    pub(super) severity: Severity,
    pub(super) summary: String,
    /// The value that was seen last.
    pub(super) value: f64,
    pub(super) started_at_ms: i64,
    pub(super) resolved_at_ms: Option<i64>,
}

impl Alert {
    /// Whether it says who `whom` is.
    pub(super) fn names(&self, whom: &str) -> bool {
        names(&self.which, whom) || names(&self.summary, whom)
    }
}

#[derive(Debug)]
enum State {
    /// Beyond the threshold, not long enough yet.
    Pending { since_ms: i64 },
    /// It fires; and it may be well again, not long enough yet.
    Firing { alert: Alert, well_since_ms: Option<i64> },
}

/// The rules and what each watches.
#[derive(Debug)]
pub(super) struct Judge {
    rules: Vec<RuleConfig>,
    watched: BTreeMap<(usize, String), State>,
    /// Alerts that were not begun for want of room.
    pub(super) refused: u64,
}

impl Judge {
    /// A judge by `rules`, who knows of what fires already. What no rule watches any more ends with the
    /// first look.
    pub(super) fn new(rules: Vec<RuleConfig>, firing: Vec<Alert>) -> (Self, Vec<Alert>) {
        let mut judge = Self { rules, watched: BTreeMap::new(), refused: 0 };
        let mut orphans = Vec::new();
        for alert in firing {
            match judge.rules.iter().position(|rule| rule.name == alert.rule) {
                Some(rule) => {
                    let key = (rule, alert.which.clone());
                    judge.watched.insert(key, State::Firing { alert, well_since_ms: None });
                }
                None => orphans.push(alert),
            }
        }
        (judge, orphans)
    }

    /// How many alerts of this severity fire.
    pub(super) fn firing(&self, severity: Severity) -> usize {
        let fires =
            |state: &&State| matches!(state, State::Firing { alert, .. } if alert.severity == severity);
        self.watched.values().filter(fires).count()
    }

    /// What has begun to fire, and what has ended, by `readings`. Ids are `mint`ed.
    pub(super) fn judge(
        &mut self,
        readings: &Readings,
        now_ms: i64,
        mint: &mut dyn FnMut() -> String,
    ) -> Vec<Alert> {
        let mut changes = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for (at, rule) in self.rules.iter().enumerate() {
            for reading in readings.named(&rule.metric) {
                let is_meant = rule.labels.iter().all(|(name, value)| {
                    reading.labels.iter().any(|(known, is)| known == name && is == value)
                });
                if !is_meant {
                    continue;
                }
                let value = if rule.age { age(reading.value, now_ms) } else { reading.value };
                let key = (at, reading.which());
                step(&mut self.watched, &mut self.refused, rule, &key, value, now_ms, mint, &mut changes);
                seen.insert(key);
            }
        }
        // Of what is not measured any more nobody can say that it is not well.
        let gone: Vec<_> = self.watched.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        for key in gone {
            let Some(rule) = self.rules.get(key.0) else { continue };
            well(&mut self.watched, rule, &key, None, now_ms, &mut changes);
        }
        changes
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
fn age(moment: f64, now_ms: i64) -> f64 {
    // What never happened is told of by other means.
    if moment <= 0.0 { 0.0 } else { now_ms as f64 / 1000.0 - moment }
}

type Watched = BTreeMap<(usize, String), State>;

#[expect(clippy::too_many_arguments, reason = "the judge, taken apart for the borrow checker")]
fn step(
    watched: &mut Watched,
    refused: &mut u64,
    rule: &RuleConfig,
    key: &(usize, String),
    value: f64,
    now_ms: i64,
    mint: &mut dyn FnMut() -> String,
    changes: &mut Vec<Alert>,
) {
    let is_bad =
        rule.above.is_some_and(|above| value > above) || rule.below.is_some_and(|below| value < below);
    let clear = rule.clear.or(rule.above).or(rule.below).unwrap_or(0.0);
    let is_well = if rule.above.is_some() { value <= clear } else { value >= clear };
    if is_well {
        return well(watched, rule, key, Some(value), now_ms, changes);
    }
    let is_full = watched.len() >= MAX_ALERTS;
    let since_ms = match watched.get_mut(key) {
        Some(State::Firing { alert, well_since_ms }) => {
            alert.value = value;
            *well_since_ms = None;
            return;
        }
        Some(State::Pending { since_ms }) if is_bad => *since_ms,
        // Between the two thresholds nothing begins.
        Some(State::Pending { .. }) => {
            watched.remove(key);
            return;
        }
        None if !is_bad => return,
        None if is_full => {
            *refused += 1;
            return;
        }
        None => now_ms,
    };
    let held_ms = i64::try_from(rule.hold_secs.saturating_mul(1000)).unwrap_or(i64::MAX);
    if now_ms - since_ms < held_ms {
        watched.insert(key.clone(), State::Pending { since_ms });
        return;
    }
    let alert = Alert {
        id: mint(),
        rule: rule.name.clone(),
        which: key.1.clone(),
        severity: rule.severity,
        summary: if rule.summary.is_empty() { rule.metric.clone() } else { rule.summary.clone() },
        value,
        started_at_ms: now_ms,
        resolved_at_ms: None,
    };
    changes.push(alert.clone());
    watched.insert(key.clone(), State::Firing { alert, well_since_ms: None });
}

/// It is well: what is pending is forgotten, what fires ends after a while.
fn well(
    watched: &mut Watched,
    rule: &RuleConfig,
    key: &(usize, String),
    value: Option<f64>,
    now_ms: i64,
    changes: &mut Vec<Alert>,
) {
    let ends = match watched.get_mut(key) {
        None => return,
        Some(State::Pending { .. }) => {
            watched.remove(key);
            return;
        }
        Some(State::Firing { alert, well_since_ms }) => {
            alert.value = value.unwrap_or(alert.value);
            let since_ms = *well_since_ms.get_or_insert(now_ms);
            now_ms - since_ms >= i64::try_from(rule.clear_secs.saturating_mul(1000)).unwrap_or(i64::MAX)
        }
    };
    if ends && let Some(State::Firing { mut alert, .. }) = watched.remove(key) {
        alert.resolved_at_ms = Some(now_ms);
        changes.push(alert);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reading::Reading;

    struct Bench {
        judge: Judge,
        minted: usize,
    }

    impl Bench {
        fn new(rule: &str) -> Self {
            Self { judge: Judge::new(vec![toml::from_str(rule).unwrap()], Vec::new()).0, minted: 0 }
        }

        /// What changes at this second, by this value: `+` for what fires, `-` for what ends.
        fn at(&mut self, secs: i64, values: &[(&str, f64)]) -> Vec<String> {
            let readings =
                values.iter().map(|(which, value)| Reading::of("m", "of", which, *value)).collect();
            let minted = &mut self.minted;
            let mut mint = || {
                *minted += 1;
                minted.to_string()
            };
            let changes = self.judge.judge(&Readings::new(readings), secs * 1000, &mut mint);
            let told = changes.iter().map(|alert| {
                let sign = if alert.resolved_at_ms.is_some() { '-' } else { '+' };
                format!("{sign}{} {}", alert.id, alert.which)
            });
            told.collect()
        }
    }

    const RULE: &str =
        "name = \"r\"\nmetric = \"m\"\nabove = 0.9\nclear = 0.8\nhold_secs = 60\nclear_secs = 30\n";

    #[test]
    fn it_fires_after_its_hold_time_and_ends_beyond_the_lower_threshold() {
        let mut bench = Bench::new(RULE);
        assert!(bench.at(0, &[("a", 0.95)]).is_empty());
        assert!(bench.at(30, &[("a", 0.95)]).is_empty());
        assert_eq!(bench.at(60, &[("a", 0.95)]), ["+1 of=a"]);
        assert!(bench.at(70, &[("a", 0.99)]).is_empty(), "once");
        assert!(bench.at(80, &[("a", 0.85)]).is_empty(), "between the thresholds it goes on");
        assert!(bench.at(90, &[("a", 0.7)]).is_empty());
        assert!(bench.at(110, &[("a", 0.95)]).is_empty(), "it was not well for long enough");
        assert!(bench.at(120, &[("a", 0.7)]).is_empty());
        assert_eq!(bench.at(150, &[("a", 0.7)]), ["-1 of=a"]);
    }

    #[test]
    fn a_spike_is_no_alert_and_what_vanishes_ends() {
        let mut bench = Bench::new(RULE);
        bench.at(0, &[("a", 0.95), ("b", 0.95)]);
        bench.at(30, &[("a", 0.85), ("b", 0.95)]);
        assert_eq!(bench.at(60, &[("a", 0.95), ("b", 0.95)]), ["+1 of=b"]);
        assert!(bench.at(70, &[]).is_empty());
        assert_eq!(bench.at(100, &[]), ["-1 of=b"]);
    }

    #[test]
    fn below_is_a_mirror_and_age_is_time_since() {
        let mut bench = Bench::new("name = \"r\"\nmetric = \"m\"\nbelow = 1.0\n");
        assert_eq!(bench.at(0, &[("a", 0.0), ("b", 1.0)]), ["+1 of=a"]);
        assert_eq!(bench.at(1, &[("a", 1.0)]), ["-1 of=a"]);
        let mut bench = Bench::new("name = \"r\"\nmetric = \"m\"\nabove = 100.0\nage = true\n");
        assert_eq!(bench.at(1000, &[("a", 800.0), ("b", 950.0), ("never", 0.0)]), ["+1 of=a"]);
    }

    #[test]
    fn what_fired_before_a_restart_fires_on_without_firing_again() {
        let mut bench = Bench::new(RULE);
        bench.at(0, &[("a", 0.95)]);
        bench.at(60, &[("a", 0.95)]);
        let alert = Alert {
            id: "old".into(),
            rule: "r".into(),
            which: "of=a".into(),
            severity: Severity::Warning,
            summary: String::new(),
            value: 1.0,
            started_at_ms: 60_000,
            resolved_at_ms: None,
        };
        let stray = Alert { rule: "gone".into(), ..alert.clone() };
        let (judge, orphans) = Judge::new(vec![toml::from_str(RULE).unwrap()], vec![alert, stray]);
        assert_eq!(orphans.len(), 1);
        let mut bench = Bench { judge, minted: 0 };
        assert!(bench.at(70, &[("a", 0.95)]).is_empty());
        bench.at(80, &[("a", 0.1)]);
        assert_eq!(bench.at(110, &[("a", 0.1)]), ["-old of=a"]);
    }
}
