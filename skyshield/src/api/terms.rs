//! What a score is made of, as the API says it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::risk::{Kind, Term};

/// One line of the bill. `adds` of all lines, taken as decimals, is the score.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TermBody {
    #[schema(value_type = String)]
    kind: Kind,
    rule: String,
    place: serde_json::Value,
    matched: String,
    confidence: f64,
    weight: f64,
    adds: f64,
}

impl TermBody {
    pub(super) fn new(term: Term) -> Self {
        let Term { kind, rule, family: _, place, matched, confidence, weight, adds_milli } = term;
        Self {
            kind,
            rule: rule.into_owned(),
            // A place is two plain strings at the most.
            place: serde_json::to_value(place).unwrap_or_default(),
            matched,
            confidence,
            weight,
            adds: f64::from(adds_milli) / 1000.0,
        }
    }
}
