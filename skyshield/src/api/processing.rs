//! `/api/v1/privacy/record`: what is kept of people, why and for how long, for auditors.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::privacy::ErasedRows;
use super::problem::Problem;
use super::time::rfc3339;
use crate::control::moment;
use crate::store::{AuditLine, Keep, Kinds};

/// What the daemon keeps, for the record of processing.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// How much of each kind.
    pub kinds: Kinds,
    /// After how many days addresses stand under a pseudonym; 0 is never.
    pub pseudonymise_after_days: u32,
    /// The log files, where there are any.
    pub logs: Vec<std::path::PathBuf>,
}

/// What is kept of whom, why and for how long: for auditors.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecordBody {
    kinds: Vec<KindBody>,
    /// Days after which addresses stand under a pseudonym; none is never.
    pseudonymised_after_days: Option<u32>,
    /// Erasures in the audit log's newest ten thousand lines: whom (by pseudonym), when, and what went.
    erasures: Vec<ErasureBody>,
}

/// An erasure that was carried out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
struct ErasureBody {
    at: String,
    by: String,
    /// By pseudonym; none where the line says nothing any more.
    whom: Option<String>,
    /// What went, by kind.
    rows: Vec<ErasedRows>,
}

impl ErasureBody {
    fn new(line: AuditLine) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Said {
            after: After,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct After {
            whom: Option<String>,
            rows: Vec<ErasedRows>,
        }
        let content = line.content.as_deref().unwrap_or_default();
        let Said { after: After { whom, rows } } = serde_json::from_str(content).unwrap_or_default();
        Self { at: rfc3339(moment(line.at_ms)), by: line.actor, whom, rows }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KindBody {
    kind: &'static str,
    /// What of people is in it.
    personal: &'static str,
    purpose: &'static str,
    /// How long it is kept.
    kept: &'static str,
    /// How many there are; none where nobody counts.
    rows: Option<u64>,
    bytes: Option<u64>,
    /// What goes first: beyond so many rows,
    max_rows: Option<u64>,
    /// so many mebibytes,
    max_mebibytes: Option<u64>,
    /// or so many days; none where it is kept otherwise.
    max_days: Option<u32>,
}

/// A kind of record: its name, what of people is in it, what it is for, and how long it is kept.
struct Kind(&'static str, &'static str, &'static str, &'static str);

/// What goes once it is too old or too much.
const AS_CONFIGURED: &str = "the oldest go beyond any of the limits";
/// What people keep.
const UNTIL_REMOVED: &str = "until it ends by itself or an operator removes it";

const KINDS: [Kind; 17] = [
    Kind(
        "incidents",
        "addresses, and what refused or flagged requests said: their target, host, and the bytes that matched",
        "finding attacks, explaining refusals, and showing on what evidence a source was banned",
        AS_CONFIGURED,
    ),
    Kind(
        "answers",
        "addresses that were turned away without an incident: over a quota, unwanted, banned, without a login",
        "explaining such an answer to whoever quotes its number",
        "in memory alone, for an hour or until 4,096 others came",
    ),
    Kind(
        "near_misses",
        "nothing: of requests that passed, the terms of their scores without a word of theirs",
        "weighing them again by changed settings",
        AS_CONFIGURED,
    ),
    Kind(
        "decisions",
        "addresses and prefixes that are or were banned",
        "keeping banned sources out, for longer each time",
        "while they are in force; then the oldest go beyond any of the limits",
    ),
    Kind(
        "rulings",
        "addresses, networks, countries and users that something is or was decided of",
        "carrying out what operators have decided",
        "while they are in force; then as decisions",
    ),
    Kind(
        "alerts",
        "addresses that rules of response tell people of",
        "telling people of what is wrong, and showing later what they were told",
        "while they fire; then the oldest go beyond any of the limits",
    ),
    Kind(
        "alerts_outgoing",
        "the same, on its way to people",
        "telling them, also after a restart",
        "until it is sent or given up",
    ),
    Kind(
        "business",
        "nothing: totals, and sketches that no user can be read out of",
        "reporting what the business came to",
        AS_CONFIGURED,
    ),
    Kind(
        "history",
        "nothing: series of numbers",
        "showing what was measured",
        "as `monitor.history_days` says",
    ),
    Kind("service_levels", "nothing: counts", "showing how sites stand by what they promise", "31 days"),
    Kind(
        "audit",
        "operators' names, the addresses they came from, and what they changed",
        "accounting for every change",
        AS_CONFIGURED,
    ),
    Kind(
        "allows",
        "addresses and names that are let through",
        "cutting nobody off who must not be",
        UNTIL_REMOVED,
    ),
    Kind("exceptions", "addresses that an exception is for", "letting through what is honest", UNTIL_REMOVED),
    Kind(
        "known",
        "addresses, and what providers and lists said of them; threat indicators",
        "asking nobody twice, and knowing attackers again",
        "until it has faded",
    ),
    Kind(
        "operators",
        "names of operators, and what their passwords are checked by",
        "letting them in",
        UNTIL_REMOVED,
    ),
    Kind("tokens", "what operators call them", "letting programs in", UNTIL_REMOVED),
    Kind(
        "logs",
        "addresses, targets and operators' names, where log files are configured",
        "finding out what happened",
        "as `[log]` says; what the journal holds, as the journal does",
    ),
];

/// The record of processing: what is kept of people, why, how much there is of it, and for how long.
#[utoipa::path(get, path = "/api/v1/privacy/record", tag = "privacy", responses((status = 200, body = RecordBody)))]
pub(super) async fn record(State(api): State<Api>) -> Result<Json<RecordBody>, Problem> {
    let reader = api.reader.clone();
    let (sizes, erasures) = super::read(move || Ok((reader.sizes()?, reader.erasures(10_000)?))).await?;
    let kinds = KINDS.into_iter().map(|Kind(kind, personal, purpose, kept)| {
        let keep = keep_of(&api.own.kept.kinds, kind);
        let size = sizes.iter().find(|size| size.kind == kind);
        KindBody {
            kind,
            personal,
            purpose,
            kept,
            rows: size.map(|size| size.rows),
            bytes: size.map(|size| size.bytes),
            max_rows: keep.map(|keep| keep.rows),
            max_mebibytes: keep.map(|keep| keep.mebibytes),
            max_days: keep.map(|keep| keep.days),
        }
    });
    let days = api.own.kept.pseudonymise_after_days;
    Ok(Json(RecordBody {
        kinds: kinds.collect(),
        pseudonymised_after_days: (days > 0).then_some(days),
        erasures: erasures.into_iter().map(ErasureBody::new).collect(),
    }))
}

/// How much is kept of a kind, where that is configured.
fn keep_of(kinds: &Kinds, kind: &str) -> Option<Keep> {
    let Kinds { incidents, decisions, audit, alerts, near_misses, business } = *kinds;
    Some(match kind {
        "incidents" => incidents,
        "decisions" | "rulings" => decisions,
        "audit" => audit,
        "alerts" => alerts,
        "near_misses" => near_misses,
        "business" => business,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_is_limited_and_every_table_that_names_people_is_in_the_record() {
        let is_in = |kind: &str| KINDS.iter().any(|Kind(known, ..)| *known == kind);
        let limited = serde_json::to_value(Kinds::default()).unwrap();
        for kind in limited.as_object().unwrap().keys() {
            assert!(is_in(kind) && keep_of(&Kinds::default(), kind).is_some(), "{kind}");
        }
        for table in crate::store::tables_of_people() {
            assert!(is_in(table), "{table}");
        }
    }
}
