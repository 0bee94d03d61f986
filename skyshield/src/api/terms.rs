//! What a score is made of, as the API says it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::risk::{Kind, Term};
use crate::inspect::Place;

/// Where in a request bytes were: `path`, or `query`, `header` or `body` with a name.
#[derive(ToSchema)]
#[schema(as = Place)]
#[expect(dead_code, reason = "it describes the inspection's own type, which is what is sent")]
pub(super) struct PlaceShape {
    part: String,
    /// The parameter, the header or the field; left out for the path.
    name: Option<String>,
}

/// One line of the bill. `adds` of all lines, taken as decimals, is the score.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TermBody {
    #[schema(value_type = String)]
    kind: Kind,
    rule: String,
    /// Where the bytes were, where it is about bytes.
    #[schema(value_type = Option<PlaceShape>)]
    place: Option<Place>,
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
            place,
            matched,
            confidence,
            weight,
            adds: f64::from(adds_milli) / 1000.0,
        }
    }
}
