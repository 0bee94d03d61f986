//! Why an answer turned somebody away without an incident.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use utoipa::ToSchema;

use super::super::time::rfc3339;
use super::{DecisionBody, Problem, Shut};
use crate::clock;
use crate::control::millis;
use crate::engine::turned_away::{Slip, Why};
use crate::engine::view::View;

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ExplainedAnswer {
    /// The number on the answer.
    answer: String,
    at: String,
    /// Whose request it was.
    address: String,
    /// Why it was turned away, in words.
    why: String,
    /// After so many seconds it was within its quota again; none where it was turned away for something else.
    retry_after_secs: Option<u64>,
    /// The ban that its source is under now: of its address, of a prefix or a place that it is in.
    ban: Option<DecisionBody>,
    /// Where nothing of its source is wanted now: the list (`list drop`) or the policy on places (`policy away`).
    unwanted_by: Option<String>,
}

impl ExplainedAnswer {
    pub(super) fn new(slip: Slip, Shut { ban, unwanted_by }: Shut) -> Self {
        let Slip { id, address, why } = slip;
        let (why, retry_after_secs) = match why {
            Why::Quota { retry_after } => {
                // As `Retry-After` said it.
                let secs = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
                (format!("it was over its quota, and within it again after {secs} s"), Some(secs))
            }
            Why::Banned(id) => (format!("it was banned by decision {id}"), None),
            Why::Unwanted => ("a list or a policy on places did not want its source".to_owned(), None),
            Why::NoUser => ("its source had to log in, and it was of no user".to_owned(), None),
        };
        Self {
            answer: id.to_string(),
            at: rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(id.at_ms())),
            address: address.to_string(),
            why,
            retry_after_secs,
            ban,
            unwanted_by,
        }
    }
}

/// What is remembered of the answer with this number.
pub(super) fn slip(view: &View, number: &str) -> Result<Slip, Problem> {
    let now_ms = u64::try_from(millis(clock::wall())).unwrap_or_default();
    let slip = number.parse().ok().and_then(|id| view.turned_away().find(id, now_ms));
    slip.ok_or_else(|| Problem::no_such("incident, answer of the last hour or address", number))
}
