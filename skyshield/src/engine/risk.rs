//! The score: what was found and what is known of the source, as one number that adds up.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::standing::Standing;
use crate::inspect::Finding;

/// How risky a request is, 0 (nothing speaks against it) to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Score(f64);

impl Score {
    /// A score, held to 0..=1; what is no number is 0.
    pub const fn new(value: f64) -> Self {
        if value > 1.0 {
            Self(1.0)
        } else if value > 0.0 {
            Self(value)
        } else {
            Self(0.0)
        }
    }

    /// The score, 0 to 1.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.3}", self.0)
    }
}

/// Where scores turn into acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A request that scores above this is refused. 0 to 1.
    pub refuse: f64,
    /// The source of a request that scores this or more is banned. 0 to 1, not below `refuse`.
    pub ban: f64,
    /// How long a detector's first ban lasts, in seconds.
    pub ban_secs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { refuse: 0.8, ban: 0.9, ban_secs: 4 * 3600 }
    }
}

/// A hundred years: clocks end somewhere beyond it.
const LONGEST_BAN_SECS: u64 = 100 * 365 * 86_400;

impl Config {
    /// What is wrong with these thresholds, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let share = 0.0..=1.0;
        if !share.contains(&self.refuse) {
            return Some(("risk.refuse", format!("{} is not between 0 and 1", self.refuse)));
        }
        if !share.contains(&self.ban) {
            return Some(("risk.ban", format!("{} is not between 0 and 1", self.ban)));
        }
        if self.ban < self.refuse {
            let what =
                format!("{} is below risk.refuse ({}): a ban is the stronger act", self.ban, self.refuse);
            return Some(("risk.ban", what));
        }
        if self.ban_secs == 0 {
            return Some((
                "risk.ban_secs",
                "0 seconds is no ban; set risk.ban = 1.0 to never ban".to_owned(),
            ));
        }
        if self.ban_secs > LONGEST_BAN_SECS {
            let what = format!("{} is more than {LONGEST_BAN_SECS} seconds, a hundred years", self.ban_secs);
            return Some(("risk.ban_secs", what));
        }
        None
    }

    /// Where scores turn into acts, where no route says otherwise.
    pub fn thresholds(&self) -> Thresholds {
        Thresholds { refuse: self.refuse, ban: self.ban }
    }
}

/// Where the scores of a route's requests turn into acts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// A request that scores above this is refused.
    pub refuse: f64,
    /// The source of a request that scores this or more is banned.
    pub ban: f64,
}

impl Thresholds {
    /// Whether a request of this score is refused.
    pub fn refuses(&self, score: Score) -> bool {
        score.value() > self.refuse
    }

    /// Whether a request of this score has its source banned.
    pub fn bans(&self, score: Score) -> bool {
        score.value() >= self.ban && self.refuses(score)
    }
}

/// Weak evidence, however much of it, stays below every default threshold.
const STANDING_ALONE: f64 = 0.5;

/// Scores a request: of each class of attack the surest finding counts, and independent evidence
/// adds up as the chance that not all of it is wrong. Without a finding, a source's past alone
/// condemns nothing.
pub fn score(findings: &[Finding], standing: Standing) -> Score {
    let mut doubt = 1.0;
    for (at, finding) in findings.iter().enumerate() {
        let surest = findings[..at]
            .iter()
            .all(|earlier| earlier.class != finding.class || earlier.confidence < finding.confidence)
            && findings[at + 1..]
                .iter()
                .all(|later| later.class != finding.class || later.confidence <= finding.confidence);
        if surest {
            doubt *= 1.0 - finding.confidence.value();
        }
    }
    doubt *= 1.0 - STANDING_ALONE * standing.weight();
    Score::new(1.0 - doubt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Class, Confidence, Place};

    fn finding(class: Class, confidence: f64) -> Finding {
        Finding {
            rule: "test".into(),
            class,
            place: Place::Path,
            confidence: Confidence::new(confidence),
            matched: String::new(),
        }
    }

    fn scored(findings: &[(Class, f64)]) -> f64 {
        let findings: Vec<_> = findings.iter().map(|&(class, sure)| finding(class, sure)).collect();
        score(&findings, Standing::default()).value()
    }

    #[test]
    fn nothing_found_is_no_risk() {
        assert!(scored(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn findings_of_one_class_do_not_add_up() {
        let once = scored(&[(Class::Sqli, 0.6)]);
        assert!((scored(&[(Class::Sqli, 0.6), (Class::Sqli, 0.6), (Class::Sqli, 0.3)]) - once).abs() < 1e-9);
    }

    #[test]
    fn findings_of_different_classes_add_up() {
        let both = scored(&[(Class::Sqli, 0.6), (Class::Xss, 0.5)]);
        assert!((both - 0.8).abs() < 1e-9, "{both}");
    }

    #[test]
    fn a_bad_past_alone_condemns_nothing() {
        let config = Config::default();
        let worst = Standing::of_weight(1.0);
        assert!(!config.thresholds().refuses(score(&[], worst)));
        assert!(config.thresholds().refuses(score(&[finding(Class::Xss, 0.7)], worst)));
    }

    #[test]
    fn thresholds_that_make_no_sense_are_named() {
        for (config, key) in [
            (Config { refuse: 1.5, ..Config::default() }, "risk.refuse"),
            (Config { ban: f64::NAN, ..Config::default() }, "risk.ban"),
            (Config { ban: 0.5, ..Config::default() }, "risk.ban"),
            (Config { ban_secs: 0, ..Config::default() }, "risk.ban_secs"),
        ] {
            assert_eq!(config.problem().map(|(key, _)| key), Some(key));
        }
        assert_eq!(Config::default().problem(), None);
    }
}
