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
    rows: u64,
    bytes: u64,
    /// What goes first: beyond so many rows,
    max_rows: u64,
    /// so many mebibytes,
    max_mebibytes: u64,
    /// or so many days.
    max_days: u32,
}

const KINDS: [(&str, &str, &str); 3] = [
    (
        "incidents",
        "addresses, and what refused or flagged requests said: their target, host, and the bytes that matched",
        "finding attacks, explaining refusals, and showing on what evidence a source was banned",
    ),
    (
        "decisions",
        "addresses and prefixes that are or were banned",
        "keeping banned sources out, for longer each time",
    ),
    (
        "audit",
        "operators' names, the addresses they came from, and what they changed",
        "accounting for every change",
    ),
];

/// The record of processing: what is kept of people, why, how much there is of it, and for how long.
#[utoipa::path(get, path = "/api/v1/privacy/record", tag = "privacy", responses((status = 200, body = RecordBody)))]
pub(super) async fn record(State(api): State<Api>) -> Result<Json<RecordBody>, Problem> {
    let reader = api.reader.clone();
    let (sizes, erasures) = super::read(move || Ok((reader.sizes()?, reader.erasures(10_000)?))).await?;
    let Kinds { incidents, decisions, audit } = api.own.kept.kinds;
    let kinds =
        KINDS.into_iter().zip([incidents, decisions, audit]).map(|((kind, personal, purpose), keep)| {
            let Keep { rows: max_rows, mebibytes: max_mebibytes, days: max_days } = keep;
            let (rows, bytes) = sizes
                .iter()
                .find(|size| size.kind == kind)
                .map(|size| (size.rows, size.bytes))
                .unwrap_or_default();
            KindBody { kind, personal, purpose, rows, bytes, max_rows, max_mebibytes, max_days }
        });
    let days = api.own.kept.pseudonymise_after_days;
    Ok(Json(RecordBody {
        kinds: kinds.collect(),
        pseudonymised_after_days: (days > 0).then_some(days),
        erasures: erasures.into_iter().map(ErasureBody::new).collect(),
    }))
}
