//! Adding up: independent evidence counts as the chance that not all of it is wrong.

use serde::{Deserialize, Serialize};

use super::term::{Evidence, Kind, Term};
use super::{Score, Thresholds};

/// From this share on (confidence times weight) evidence is strong: it may carry a score by itself.
pub const STRONG: f64 = 0.7;
/// What weak evidence comes to at the most, however much of it there is and whatever it is about.
pub const MOST_OF_WEAK: f64 = 0.79;

/// Why a request has its score: the terms add up to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bill {
    /// The terms, those that add most first; those that only repeat another add nothing.
    pub terms: Vec<Term>,
}

/// The sum so far.
#[derive(Clone, Copy)]
struct Sum {
    /// Per kind, the chance that all its strong evidence is wrong.
    strong: [f64; Kind::ALL.len()],
    /// Per kind, the chance that all its weak evidence is wrong.
    weak: [f64; Kind::ALL.len()],
}

impl Sum {
    fn add(&mut self, evidence: &Evidence) {
        let share = evidence.share();
        let side =
            if evidence.kind.may_prove() && share >= STRONG { &mut self.strong } else { &mut self.weak };
        side[evidence.kind as usize] *= 1.0 - share;
    }

    fn milli(self) -> u16 {
        let held = |doubts: [f64; Kind::ALL.len()]| -> f64 {
            Kind::ALL.into_iter().zip(doubts).map(|(kind, doubt)| doubt.max(1.0 - kind.most())).product()
        };
        let weak = held(self.weak).max(1.0 - MOST_OF_WEAK);
        let score = (1.0 - held(self.strong) * weak).clamp(0.0, 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1000 by the line above"
        )]
        let milli = (score * 1000.0).round() as u16;
        milli
    }
}

impl Bill {
    /// The bill for `evidence`, in whatever order it comes.
    ///
    /// The score is counted in whole thousandths, so that what people are shown is what is compared.
    pub fn of(mut evidence: Vec<Evidence>) -> Self {
        if evidence.is_empty() {
            return Self::default();
        }
        evidence.sort_by(|one, other| {
            (other.share().total_cmp(&one.share()))
                .then_with(|| one.kind.cmp(&other.kind))
                .then_with(|| one.rule.cmp(&other.rule))
                .then_with(|| one.family.cmp(&other.family))
                .then_with(|| one.matched.cmp(&other.matched))
        });
        let mut sum = Sum { strong: [1.0; _], weak: [1.0; _] };
        let mut total = 0;
        let mut terms: Vec<Term> = Vec::with_capacity(evidence.len());
        for evidence in evidence {
            let repeats =
                terms.iter().any(|term| term.kind == evidence.kind && term.family == evidence.family);
            let mut adds = 0;
            if !repeats {
                sum.add(&evidence);
                let so_far = sum.milli().max(total);
                adds = so_far - total;
                total = so_far;
            }
            terms.push(Term::of(evidence, adds));
        }
        Self { terms }
    }

    /// What the terms add up to, in thousandths.
    pub fn milli(&self) -> u16 {
        self.terms.iter().map(|term| term.adds_milli).sum()
    }

    /// The score.
    pub fn score(&self) -> Score {
        Score::new(f64::from(self.milli()) / 1000.0)
    }

    /// The bill for the evidence of those terms that `keep` keeps.
    #[must_use]
    pub fn without(&self, mut leave_out: impl FnMut(&Term) -> bool) -> Self {
        Self::of(self.terms.iter().filter(|term| !leave_out(term)).map(Term::evidence).collect())
    }

    /// The bill for what the request itself says, whoever sent it.
    #[must_use]
    pub fn of_the_request(&self) -> Self {
        self.without(|term| term.kind != Kind::Finding)
    }

    /// Whether a request with this bill is refused.
    pub fn is_refused(&self, thresholds: Thresholds) -> bool {
        thresholds.refuses(self.score())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn evidence(kind: Kind, family: u8, share: f64) -> Evidence {
        Evidence {
            kind,
            rule: format!("rule-{family}").into(),
            family: format!("family-{family}").into(),
            place: None,
            matched: String::new(),
            confidence: share,
            weight: 1.0,
        }
    }

    fn scored(evidence: &[(Kind, u8, f64)]) -> f64 {
        Bill::of(evidence.iter().map(|&(kind, family, share)| self::evidence(kind, family, share)).collect())
            .score()
            .value()
    }

    #[test]
    fn nothing_found_is_no_risk() {
        assert!(scored(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn findings_of_one_class_do_not_add_up_and_of_two_do() {
        let once = scored(&[(Kind::Finding, 1, 0.6)]);
        let thrice = scored(&[(Kind::Finding, 1, 0.6), (Kind::Finding, 1, 0.6), (Kind::Finding, 1, 0.3)]);
        assert!((once - thrice).abs() < 1e-9);
        let both = scored(&[(Kind::Finding, 1, 0.6), (Kind::Finding, 2, 0.4)]);
        assert!((both - 0.76).abs() < 1e-9, "{both}");
        let strong = scored(&[(Kind::Finding, 1, 0.85), (Kind::Finding, 2, 0.4)]);
        assert!((strong - 0.91).abs() < 1e-9, "{strong}");
    }

    #[test]
    fn what_is_known_of_a_source_alone_refuses_nothing() {
        let worst = [
            (Kind::Incidents, 1, 1.0),
            (Kind::Reputation, 1, 1.0),
            (Kind::Origin, 1, 1.0),
            (Kind::Origin, 2, 1.0),
        ];
        assert!((scored(&worst) - MOST_OF_WEAK).abs() < 1e-9);
        assert!((scored(&worst[..1]) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_bill_without_a_term_is_what_the_rest_comes_to() {
        let bill = Bill::of(vec![
            evidence(Kind::Finding, 1, 0.95),
            evidence(Kind::Finding, 1, 0.6),
            evidence(Kind::Incidents, 2, 0.2),
        ]);
        let rest = bill.without(|term| term.confidence > 0.9);
        assert_eq!(rest.milli(), 680);
        assert_eq!(bill.of_the_request().milli(), 950);
    }

    fn any_evidence() -> impl Strategy<Value = Vec<Evidence>> {
        let one = (0..Kind::ALL.len(), 0_u8..6, 0.0..=1.0_f64, 0.0..=1.0_f64);
        proptest::collection::vec(one, 0..12).prop_map(|rows| {
            rows.into_iter()
                .map(|(kind, family, confidence, weight)| Evidence {
                    weight,
                    ..evidence(Kind::ALL[kind], family, confidence)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn the_terms_add_up_to_the_score_and_it_is_bounded(all in any_evidence()) {
            let bill = Bill::of(all.clone());
            prop_assert_eq!(bill.terms.len(), all.len());
            prop_assert!(bill.milli() <= 1000);
            let shown: u32 = bill.terms.iter().map(|term| u32::from(term.adds_milli)).sum();
            prop_assert_eq!(format!("{:.3}", f64::from(shown) / 1000.0), bill.score().to_string());
        }

        #[test]
        fn the_order_in_which_evidence_comes_does_not_matter(all in any_evidence(), turn in 0_usize..12) {
            let mut turned = all.clone();
            turned.rotate_left(if all.is_empty() { 0 } else { turn % all.len() });
            turned.reverse();
            prop_assert_eq!(Bill::of(all), Bill::of(turned));
        }

        #[test]
        fn more_evidence_never_lowers_the_score(all in any_evidence(), more in any_evidence()) {
            let before = Bill::of(all.clone()).milli();
            prop_assert!(Bill::of(all.into_iter().chain(more).collect()).milli() >= before);
        }

        #[test]
        fn surer_evidence_never_lowers_the_score(all in any_evidence(), at in 0_usize..12, by in 0.0..1.0_f64) {
            let before = Bill::of(all.clone()).milli();
            let mut surer = all;
            let len = surer.len().max(1);
            if let Some(one) = surer.get_mut(at % len) {
                one.confidence += (1.0 - one.confidence) * by;
            }
            // Where a term becomes the surest of its family, a thousandth may be lost to rounding.
            prop_assert!(Bill::of(surer).milli() + 1 >= before);
        }

        #[test]
        fn weak_evidence_alone_never_refuses(all in any_evidence()) {
            let weak: Vec<_> = all
                .into_iter()
                .filter(|one| !one.kind.may_prove() || one.share() < STRONG)
                .collect();
            prop_assert!(Bill::of(weak).score().value() <= MOST_OF_WEAK);
        }

        #[test]
        fn no_kind_comes_to_more_than_its_most(all in any_evidence()) {
            for kind in Kind::ALL {
                let of_kind: Vec<_> = all.iter().filter(|one| one.kind == kind).cloned().collect();
                prop_assert!(Bill::of(of_kind).score().value() <= kind.most() + 0.000_5);
            }
        }
    }
}
