//! A changed configuration against what happened: what was kept of flagged requests and of those that came
//! near is weighed again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::incident::Assessment;
use crate::engine::risk::{self, Bill};
use crate::inspect::{Limits, Mode, own};
use crate::routes::{self, Route, Routes};

/// Changes of one kind that are named, at the most.
const MAX_NAMED: usize = 50;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It passed.
    Pass,
    /// It was refused.
    Refuse,
    /// It was refused, and its source banned.
    Ban,
}

/// What is kept of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The incident; none where it only came near.
    pub incident: Option<String>,
    /// The route that took it.
    pub route: String,
    /// What became of it.
    pub fate: Fate,
    /// What its score was made of.
    pub assessment: Assessment,
    /// The terms of it, by their numbers, that exceptions in force now would take away.
    #[serde(default)]
    pub excepted: Vec<usize>,
}

/// What a changed configuration would have made of it all.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Against {
    /// Requests that were looked at.
    pub looked_at: u64,
    /// How many went from one fate to another: `pass → refuse`.
    pub changes: BTreeMap<String, u64>,
    /// Some of them.
    pub named: Vec<Changed>,
    /// Those that cannot be weighed again: they were refused for what was not read.
    pub not_weighed: u64,
}

/// A request that would have fared otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    /// The incident; none where it only came near.
    pub incident: Option<String>,
    /// Its route.
    pub route: String,
    /// What became of it.
    pub was: Fate,
    /// What would have.
    pub would_be: Fate,
    /// The score that it had, and would have had.
    pub score: (f64, f64),
    /// The rules behind it.
    pub rules: Vec<String>,
}

/// Weighs `kept` again, by these sections.
pub fn against(kept: &[Kept], inspect: &Limits, risk: &risk::Config, routes: &[routes::Config]) -> Against {
    let routes = Routes::new(routes, inspect, risk);
    let acting: BTreeMap<_, _> =
        own::infos(inspect).map(|info| (info.id.into_owned(), info.action)).collect();
    let counts = |rule: &str| match acting.get(rule) {
        // Rules of operators' that are gone claim nothing any more, nor do those that only observe.
        Some(action) => action.is_some_and(|action| action != crate::inspect::Action::Observe),
        None => false,
    };
    let mut told = Against::default();
    for one in kept {
        told.looked_at += 1;
        if one.assessment.unread.is_some() {
            told.not_weighed += 1;
            continue;
        }
        let route = routes.iter().find(|route| *route.name == *one.route);
        let route = route.or_else(|| routes.iter().last());
        let Some(route) = route else { continue };
        let (would_be, score) = weighed(one, route, risk, counts);
        if would_be == one.fate {
            continue;
        }
        let name = |fate: Fate| match fate {
            Fate::Pass => "pass",
            Fate::Refuse => "refuse",
            Fate::Ban => "ban",
        };
        *told.changes.entry(format!("{} → {}", name(one.fate), name(would_be))).or_default() += 1;
        if told.named.len() < MAX_NAMED {
            told.named.push(Changed {
                incident: one.incident.clone(),
                route: one.route.clone(),
                was: one.fate,
                would_be,
                score: (one.assessment.bill.score().value(), score),
                rules: one.assessment.bill.terms.iter().map(|term| term.rule.to_string()).collect(),
            });
        }
    }
    told
}

fn weighed(
    Kept { assessment, excepted, .. }: &Kept,
    route: &Route,
    risk: &risk::Config,
    counts: impl Fn(&str) -> bool,
) -> (Fate, f64) {
    let terms = assessment.bill.terms.iter().enumerate();
    let left = terms.filter(|(number, _)| !excepted.contains(number)).map(|(_, term)| term.clone());
    let left = Bill { terms: left.collect() };
    let bill = risk.reweighed(&left, |term| term.kind == risk::Kind::Finding && !counts(&term.rule));
    let score = bill.score();
    // What demands it demands it for as long as something is left of what it has found.
    let is_left = |rule: &str| excepted.is_empty() || left.terms.iter().any(|term| term.rule == rule);
    let demanded = assessment.demanded_by.iter().any(|rule| counts(rule) && is_left(rule));
    let fate = match route.mode {
        Mode::Off | Mode::Observe => Fate::Pass,
        Mode::Refuse if !bill.is_refused(route.thresholds) && !demanded => Fate::Pass,
        Mode::Refuse if route.thresholds.bans(score) => Fate::Ban,
        Mode::Refuse => Fate::Refuse,
    };
    (fate, score.value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::risk::Evidence;

    fn kept(rule: &'static str, family: &'static str, confidence: f64, fate: Fate) -> Kept {
        let bill = Bill::of(vec![Evidence {
            kind: risk::Kind::Finding,
            rule: rule.into(),
            family: family.into(),
            place: None,
            matched: String::new(),
            confidence,
            weight: 1.0,
        }]);
        let assessment = Assessment { bill, ..Assessment::default() };
        Kept { incident: None, route: "default".to_owned(), fate, assessment, excepted: Vec::new() }
    }

    #[test]
    fn what_an_exception_takes_away_does_not_count_again() {
        let told = |excepted: &[usize], demanded_by: &[&str]| {
            let mut one = kept("xss.script-tag", "xss", 0.95, Fate::Ban);
            one.excepted = excepted.to_vec();
            one.assessment.demanded_by = demanded_by.iter().map(|rule| (*rule).to_owned().into()).collect();
            let told = against(&[one], &Limits::default(), &risk::Config::default(), &[]);
            told.changes.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(told(&[], &[]), []);
        assert_eq!(told(&[0], &[]), [("ban → pass".to_owned(), 1)]);
        assert_eq!(
            told(&[0], &["xss.script-tag"]),
            [("ban → pass".to_owned(), 1)],
            "nothing is left to demand it"
        );
        assert_eq!(told(&[1], &[]), [], "a number of none");
    }

    #[test]
    fn what_is_changed_shows_in_what_happened() {
        let all = [
            kept("xss.script-tag", "xss", 0.95, Fate::Ban),
            kept("sqli.select-prose", "sqli", 0.6, Fate::Pass),
        ];
        let changes = |inspect: &Limits, risk: &risk::Config| {
            against(&all, inspect, risk, &[]).changes.into_iter().collect::<Vec<_>>()
        };
        let (inspect, risk) = (Limits::default(), risk::Config::default());
        assert_eq!(changes(&inspect, &risk), []);
        let off = Limits { disable: vec!["xss.script-tag".to_owned()], ..Limits::default() };
        assert_eq!(changes(&off, &risk), [("ban → pass".to_owned(), 1)]);
        let strict = risk::Config { refuse: 0.55, ..risk.clone() };
        assert_eq!(changes(&inspect, &strict), [("pass → refuse".to_owned(), 1)]);
        let mild = risk::Config { ban: 0.99, ..risk };
        assert_eq!(changes(&inspect, &mild), [("ban → refuse".to_owned(), 1)]);
    }
}
