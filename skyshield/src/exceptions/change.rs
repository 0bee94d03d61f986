//! What would have to be otherwise for a refused request to pass.

use std::collections::BTreeSet;

use crate::engine::incident::Assessment;
use crate::engine::risk::{Kind, Score, Term};
use crate::inspect::Place;

/// The smallest change after which a request passes.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// What stands at these places, mostly one, is not there.
    Without {
        /// The places.
        places: Vec<Place>,
        /// The score then.
        score: Score,
    },
    /// It comes from a source of which nothing is known.
    OtherSource {
        /// The score then.
        score: Score,
    },
    /// It stays within this limit of `inspect`.
    Within(String),
}

/// The smallest change after which a request with this assessment passes; none where it did pass.
pub fn change(assessment: &Assessment) -> Option<Change> {
    if !assessment.is_refused() {
        return assessment.unread.as_ref().map(|limit| Change::Within(limit.clone().into_owned()));
    }
    let bill = &assessment.bill;
    let mut left: BTreeSet<Place> = bill.terms.iter().filter_map(|term| term.place.clone()).collect();
    let mut taken = BTreeSet::new();
    // One place if one is enough, and then the one that leaves least; else what takes most away, in turn.
    while !left.is_empty() {
        let next = left.iter().min_by_key(|place| {
            let without = |term: &Term| is_at(term, &taken) || term.place.as_ref() == Some(place);
            (assessment.is_refused_without(without), bill.without(without).milli())
        });
        let next = next?.clone();
        left.remove(&next);
        taken.insert(next);
        if !assessment.is_refused_without(|term| is_at(term, &taken)) {
            let score = bill.without(|term| is_at(term, &taken)).score();
            return Some(Change::Without { places: taken.into_iter().collect(), score });
        }
    }
    let is_known = |term: &Term| term.kind != Kind::Finding;
    (!assessment.is_refused_without(is_known))
        .then(|| Change::OtherSource { score: bill.without(is_known).score() })
}

fn is_at(term: &Term, places: &BTreeSet<Place>) -> bool {
    term.place.as_ref().is_some_and(|place| places.contains(place))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engine::risk::{Bill, Config, Evidence};

    pub(in crate::exceptions) fn assessed(rows: &[(&'static str, &str, &'static str, f64)]) -> Assessment {
        let evidence = rows.iter().map(|&(rule, family, place, confidence)| Evidence {
            kind: if place.is_empty() { Kind::Behaviour } else { Kind::Finding },
            rule: rule.into(),
            family: family.to_owned().into(),
            place: crate::exceptions::place_from(place).ok(),
            matched: String::new(),
            confidence,
            weight: 1.0,
        });
        let thresholds = Config::default().thresholds();
        Assessment { bill: Bill::of(evidence.collect()), thresholds, ..Assessment::default() }
    }

    #[test]
    fn one_place_is_enough_where_one_place_is_bad() {
        let assessment = assessed(&[
            ("sqli.a", "sqli", "query:id", 0.95),
            ("sqli.b", "sqli", "query:id", 0.6),
            ("xss.a", "xss", "query:q", 0.3),
        ]);
        let Some(Change::Without { places, score }) = change(&assessment) else { panic!() };
        assert_eq!(places, [Place::Query("id".to_owned())]);
        assert!((score.value() - 0.3).abs() < 1e-9);
    }

    #[test]
    fn two_are_named_where_either_is_bad_enough() {
        let assessment = assessed(&[("sqli.a", "sqli", "body:a", 0.95), ("sqli.a", "sqli", "body:b", 0.95)]);
        let Some(Change::Without { places, .. }) = change(&assessment) else { panic!() };
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn where_only_the_source_speaks_against_it_another_source_passes() {
        let assessment = assessed(&[("login.guessing", "login.guessing", "", 0.95)]);
        assert_eq!(change(&assessment), Some(Change::OtherSource { score: Score::default() }));
        assert_eq!(change(&assessed(&[("xss.a", "xss", "path", 0.3)])), None, "it passed");
        let unread = Assessment { unread: Some("values".into()), ..assessed(&[]) };
        assert_eq!(change(&unread), Some(Change::Within("values".to_owned())));
    }

    #[test]
    fn a_rule_that_refuses_whatever_the_score_is_what_has_to_go() {
        let assessment = Assessment {
            demanded_by: vec!["own.rule".into()],
            ..assessed(&[("own.rule", "policy", "query:a", 0.1), ("xss.a", "xss", "query:b", 0.3)])
        };
        let Some(Change::Without { places, .. }) = change(&assessment) else { panic!() };
        assert_eq!(places, [Place::Query("a".to_owned())]);
    }
}
