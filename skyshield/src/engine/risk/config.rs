//! The section `risk`: where scores turn into acts, and what evidence weighs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Bill, Evidence, Score, Term, Weights};
use crate::engine::shaping::Terms;
use crate::engine::standing::Standing;
use crate::inspect::Finding;

/// Where scores turn into acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// From this score of a request on, its source's packets are held to a lower rate. 0 to 1, not above
    /// `refuse`; 1 is never. Default 0.5.
    pub shape: f64,
    /// A request that scores above this is refused. 0 to 1. Default 0.8.
    pub refuse: f64,
    /// The source of a request that scores this or more is banned. 0 to 1, not below `refuse`. Default 0.9.
    pub ban: f64,
    /// How long a detector's first ban lasts, in seconds. Default 14400.
    pub ban_secs: u64,
    /// Packets a second of a source whose request scores `shape`; at each tenth above it, half as many.
    /// Default 200.
    pub shape_packets_per_sec: u64,
    /// After this many seconds without anything more it may send twice as much, until it is free again.
    /// Default 60.
    pub shape_secs: u64,
    /// What each kind of evidence weighs.
    pub weights: Weights,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shape: 0.5,
            refuse: 0.8,
            ban: 0.9,
            ban_secs: 4 * 3600,
            shape_packets_per_sec: 200,
            shape_secs: 60,
            weights: Weights::default(),
        }
    }
}

/// A hundred years: clocks end somewhere beyond it.
const LONGEST_BAN_SECS: u64 = 100 * 365 * 86_400;

impl Config {
    /// What is wrong with these thresholds, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        for (key, value) in [("risk.shape", self.shape), ("risk.refuse", self.refuse), ("risk.ban", self.ban)]
        {
            if !(0.0..=1.0).contains(&value) {
                return Some((key, format!("{value} is not between 0 and 1")));
            }
        }
        if self.shape <= 0.0 {
            return Some(("risk.shape", "0 would slow everyone down; set 1.0 to slow nobody".to_owned()));
        }
        if self.shape > self.refuse && self.shape < 1.0 {
            let what = format!(
                "{} is above risk.refuse ({}): a refusal is the stronger act; set 1.0 to slow nobody",
                self.shape, self.refuse
            );
            return Some(("risk.shape", what));
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
        for (key, value) in
            [("risk.shape_packets_per_sec", self.shape_packets_per_sec), ("risk.shape_secs", self.shape_secs)]
        {
            if !(1..=1_000_000).contains(&value) {
                return Some((key, format!("{value} is not between 1 and 1000000")));
            }
        }
        self.weights.problem()
    }

    /// The bill for the evidence of another, weighed anew, but for the terms that `leave_out` names.
    #[must_use]
    pub fn reweighed(&self, bill: &Bill, mut leave_out: impl FnMut(&Term) -> bool) -> Bill {
        let terms = bill.terms.iter().filter(|term| !leave_out(term));
        Bill::of(terms.map(|term| Evidence { weight: self.weights.of(term), ..term.evidence() }).collect())
    }

    /// How sources are slowed down.
    pub fn shaping(&self) -> Terms {
        Terms {
            from: self.shape,
            packets_per_sec: self.shape_packets_per_sec,
            step: Duration::from_secs(self.shape_secs),
        }
    }

    /// Where scores turn into acts, where no route says otherwise.
    pub fn thresholds(&self) -> Thresholds {
        Thresholds { shape: self.shape, refuse: self.refuse, ban: self.ban }
    }

    /// The bill for a request with `findings` by a source of `standing`.
    pub fn bill(&self, findings: &[Finding], standing: &Standing) -> Bill {
        if findings.is_empty() && standing.is_unknown() {
            return Bill::default();
        }
        Bill::of(self.weights.evidence(findings, standing))
    }
}

/// Where the scores of a route's requests turn into acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// From this score of a request on, its source's packets are held to a lower rate.
    pub shape: f64,
    /// A request that scores above this is refused.
    pub refuse: f64,
    /// The source of a request that scores this or more is banned.
    pub ban: f64,
}

impl Thresholds {
    /// Whether the source of a request of this score is slowed down.
    pub fn shapes(&self, score: Score) -> bool {
        score.value() >= self.shape && self.shape < 1.0
    }

    /// Whether a request of this score is refused.
    pub fn refuses(&self, score: Score) -> bool {
        score.value() > self.refuse
    }

    /// Whether a request of this score has its source banned.
    pub fn bans(&self, score: Score) -> bool {
        score.value() >= self.ban && self.refuses(score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::standing::Origin;
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

    #[test]
    fn a_bad_past_alone_condemns_nothing() {
        let config = Config::default();
        let worst = Standing::of_weight(1.0);
        assert!(!config.thresholds().refuses(config.bill(&[], &worst).score()));
        let bill = config.bill(&[finding(Class::Xss, 0.75)], &worst);
        assert_eq!(bill.milli(), 875);
        assert!(config.thresholds().refuses(bill.score()));
    }

    #[test]
    fn a_hint_of_a_class_that_weighs_nothing_adds_nothing() {
        let mut config = Config::default();
        config.weights.classes.insert(Class::Scanner, 0.0);
        let bill =
            config.bill(&[finding(Class::Scanner, 0.95), finding(Class::Sqli, 0.6)], &Standing::default());
        assert_eq!(bill.milli(), 600);
        assert_eq!(bill.terms.len(), 2, "it is told all the same");
    }

    #[test]
    fn where_a_source_is_and_what_others_say_are_terms_of_their_own() {
        let mut config = Config::default();
        config.weights.countries.insert("XK".to_owned(), 0.25);
        let origin = Origin { country: Some(*b"XK"), is_tor: true, ..Origin::default() };
        let standing = Standing::default().with_origin(origin).with_reputation(0.5).with_indicator(0.5);
        let bill = config.bill(&[], &standing);
        let rules: Vec<_> = bill.terms.iter().map(|term| (&*term.rule, term.adds_milli)).collect();
        assert_eq!(rules, [("tor", 300), ("reputation", 175), ("country", 75), ("indicators", 45)]);
    }

    #[test]
    fn thresholds_and_weights_that_make_no_sense_are_named() {
        let weights = |text: &str| Config { weights: toml::from_str(text).unwrap(), ..Config::default() };
        for (config, key) in [
            (Config { refuse: 1.5, ..Config::default() }, "risk.refuse"),
            (Config { ban: f64::NAN, ..Config::default() }, "risk.ban"),
            (Config { ban: 0.5, ..Config::default() }, "risk.ban"),
            (Config { ban_secs: 0, ..Config::default() }, "risk.ban_secs"),
            (Config { shape: 0.0, ..Config::default() }, "risk.shape"),
            (Config { shape_secs: 0, ..Config::default() }, "risk.shape_secs"),
            (Config { shape: 0.85, ..Config::default() }, "risk.shape"),
            (weights("tor = 1.5"), "risk.weights.tor"),
            (weights("classes = { sqli = -1.0 }"), "risk.weights.classes"),
            (weights("countries = { Germany = 0.5 }"), "risk.weights.countries"),
            (weights("behaviour = { login = 0.5 }"), "risk.weights.behaviour"),
            (weights("asns = { AS1 = 0.5 }"), "risk.weights.asns"),
        ] {
            assert_eq!(config.problem().map(|(key, _)| key), Some(key));
        }
        assert_eq!(Config::default().problem(), None);
        assert_eq!(Config { shape: 1.0, ..Config::default() }.problem(), None);
    }
}
