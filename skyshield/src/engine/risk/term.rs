//! One line of the bill: what speaks against a request, how surely, and what it adds to the score.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::inspect::{Finding, Place};

/// What a piece of evidence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The bytes of this request.
    Finding,
    /// What the source has been doing for a while.
    Behaviour,
    /// Earlier incidents of the source and around it.
    Incidents,
    /// What others say of the source.
    Reputation,
    /// Where the source is: country, network, hosting, an anonymising service.
    Origin,
}

impl Kind {
    /// Every kind, in the order of the bill.
    pub const ALL: [Self; 5] =
        [Self::Finding, Self::Behaviour, Self::Incidents, Self::Reputation, Self::Origin];

    /// What all evidence of this kind comes to at the most. What is known of a source from elsewhere
    /// says little of this request, however much of it there is.
    pub(super) const fn most(self) -> f64 {
        match self {
            Self::Finding | Self::Behaviour => 1.0,
            Self::Incidents | Self::Reputation => 0.5,
            Self::Origin => 0.4,
        }
    }

    /// Whether evidence of this kind may by itself be as good as a proof.
    pub(super) const fn may_prove(self) -> bool {
        matches!(self, Self::Finding | Self::Behaviour)
    }
}

/// Something that speaks against a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What it is about.
    pub kind: Kind,
    /// Who claims it: a rule's id, a detector's name.
    pub rule: Cow<'static, str>,
    /// Claims of one kind and family are one claim seen twice: the surest of them counts.
    pub family: Cow<'static, str>,
    /// Where in the request the bytes were, if it is about bytes.
    pub place: Option<Place>,
    /// The bytes, or what was seen, in words.
    pub matched: String,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// What it weighs where it is certain, 0 to 1.
    pub weight: f64,
}

impl Evidence {
    /// What a finding is evidence of, at `weight`.
    pub fn of_finding(finding: &Finding, weight: f64) -> Self {
        Self {
            kind: Kind::Finding,
            rule: finding.rule.clone(),
            family: finding.class.name().into(),
            place: Some(finding.place.clone()),
            matched: finding.matched.clone(),
            confidence: finding.confidence.value(),
            weight,
        }
    }

    /// The chance that it is right and matters.
    pub(super) fn share(&self) -> f64 {
        let held = |value: f64| if value > 0.0 { value.min(1.0) } else { 0.0 };
        held(self.weight) * held(self.confidence)
    }
}

/// A line of the bill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// What it is about.
    pub kind: Kind,
    /// Who claims it: a rule's id, a detector's name.
    pub rule: Cow<'static, str>,
    /// Claims of one kind and family are one claim seen twice: the surest of them counts.
    pub family: Cow<'static, str>,
    /// Where in the request the bytes were, if it is about bytes.
    pub place: Option<Place>,
    /// The bytes, or what was seen, in words.
    pub matched: String,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// What it weighs where it is certain, 0 to 1.
    pub weight: f64,
    /// What it adds to the score, in thousandths. The score is the sum of these.
    pub adds_milli: u16,
}

impl Term {
    pub(super) fn of(evidence: Evidence, adds_milli: u16) -> Self {
        let Evidence { kind, rule, family, place, matched, confidence, weight } = evidence;
        Self { kind, rule, family, place, matched, confidence, weight, adds_milli }
    }

    /// The evidence behind it.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            kind: self.kind,
            rule: self.rule.clone(),
            family: self.family.clone(),
            place: self.place.clone(),
            matched: self.matched.clone(),
            confidence: self.confidence,
            weight: self.weight,
        }
    }
}
