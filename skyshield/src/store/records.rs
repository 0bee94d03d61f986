//! What is kept, as rows: wall time in milliseconds since 1970, everything else as people read it.

use rusqlite::{Connection, Row, params};

use super::allows::AllowRow;
use crate::engine::allow::AllowId;
use crate::engine::decision::{DecisionId, Ended};
use crate::engine::incident::Assessment;

/// A decision as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRow {
    /// Its number.
    pub id: DecisionId,
    /// Whom it bans: an address or a prefix.
    pub source: String,
    /// On whose authority: [`crate::engine::decision::Origin::name`].
    pub origin: String,
    /// Where it is enforced: [`crate::engine::decision::Layer::name`].
    pub layer: String,
    /// Why, for people.
    pub reason: String,
    /// The incident that gave rise to it.
    pub incident: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: i64,
    /// When it ends by itself; none is until lifted.
    pub expires_at_ms: Option<i64>,
    /// From the last byte of the request behind it to the entry in the kernel's map, in microseconds.
    pub enforced_after_us: Option<i64>,
}

/// An incident as kept.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct IncidentRow {
    /// Its id.
    pub id: String,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// Whom it is attributed to.
    pub address: String,
    /// Whether a trusted proxy named that address.
    pub by_proxy: bool,
    /// The door it came through.
    pub door: String,
    /// Its score, 0 to 1.
    pub score: f64,
    /// The method.
    pub method: String,
    /// The host asked for.
    pub host: String,
    /// The target.
    pub target: String,
    /// What was found in it, as JSON.
    pub findings: String,
    /// Why, as JSON: [`crate::engine::incident::Assessment`].
    pub assessment: String,
    /// What became of it: [`crate::engine::incident::Act::name`].
    pub act: String,
    /// The route that took it.
    pub route: String,
}

/// An operator's token as kept: never the secret, only its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// The public part.
    pub id: String,
    /// What the operator calls it.
    pub name: String,
    /// SHA-256 of the secret part.
    pub secret_sha256: Vec<u8>,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: i64,
    /// When it ends by itself.
    pub expires_at_ms: Option<i64>,
}

/// How often a source was banned by detectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The source.
    pub source: String,
    /// How often.
    pub times: u32,
    /// When the last time, in milliseconds since 1970.
    pub last_ms: i64,
}

/// One change to what is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A decision came into force, or changed.
    Decision(DecisionRow),
    /// A decision ended.
    Ended {
        /// Which.
        id: DecisionId,
        /// Why.
        cause: Ended,
        /// When, in milliseconds since 1970.
        at_ms: i64,
    },
    /// An incident happened.
    Incident(Box<IncidentRow>),
    /// An entry of the allow list came into force, or changed.
    Allow(AllowRow),
    /// An entry of the allow list ended.
    AllowEnded {
        /// Which.
        id: AllowId,
    },
    /// A token was made.
    Token(TokenRow),
    /// A token was taken back.
    TokenRevoked {
        /// The public part.
        id: String,
    },
}

impl Record {
    /// Writes the change. A decision seen again keeps the moment it was made and how fast it was enforced.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Decision(row) => connection
                .prepare_cached(
                    "INSERT INTO decisions
                     (id, source, origin, layer, reason, incident, made_at_ms, expires_at_ms, enforced_after_us)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                     ON CONFLICT (id) DO UPDATE SET expires_at_ms = excluded.expires_at_ms",
                )?
                .execute(params![
                    row.id.0.cast_signed(),
                    row.source,
                    row.origin,
                    row.layer,
                    row.reason,
                    row.incident,
                    row.made_at_ms,
                    row.expires_at_ms,
                    row.enforced_after_us
                ]),
            Self::Ended { id, cause, at_ms } => connection
                .prepare_cached(
                    "UPDATE decisions SET ended_at_ms = ?2, ended = ?3 WHERE id = ?1 AND ended_at_ms IS NULL",
                )?
                .execute(params![id.0.cast_signed(), at_ms, cause.name()]),
            Self::Incident(row) => connection
                .prepare_cached("INSERT OR IGNORE INTO incidents VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")?
                .execute(params![
                    row.id,
                    row.at_ms,
                    row.address,
                    row.by_proxy,
                    row.door,
                    row.score,
                    row.method,
                    row.host,
                    row.target,
                    row.findings,
                    row.act,
                    row.route,
                    row.assessment
                ]),
            Self::Allow(row) => row.write(connection),
            Self::AllowEnded { id } => connection
                .prepare_cached("DELETE FROM allows WHERE id = ?1")?
                .execute([id.0.cast_signed()]),
            Self::Token(row) => connection
                .prepare_cached("INSERT INTO tokens VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![row.id, row.name, row.secret_sha256, row.made_at_ms, row.expires_at_ms]),
            Self::TokenRevoked { id } => {
                connection.prepare_cached("DELETE FROM tokens WHERE id = ?1")?.execute(params![id])
            }
        }
        .map(|_| ())
    }
}

impl DecisionRow {
    /// The columns this reads, in its order.
    pub(super) const COLUMNS: &str =
        "id, source, origin, layer, reason, incident, made_at_ms, expires_at_ms, enforced_after_us";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: DecisionId(row.get::<_, i64>(0)?.cast_unsigned()),
            source: row.get(1)?,
            origin: row.get(2)?,
            layer: row.get(3)?,
            reason: row.get(4)?,
            incident: row.get(5)?,
            made_at_ms: row.get(6)?,
            expires_at_ms: row.get(7)?,
            enforced_after_us: row.get(8)?,
        })
    }
}

impl IncidentRow {
    /// Why it is one. A row of a release that did not keep it has no terms.
    pub fn assessment(&self) -> Assessment {
        serde_json::from_str(&self.assessment).unwrap_or_default()
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            at_ms: row.get(1)?,
            address: row.get(2)?,
            by_proxy: row.get(3)?,
            door: row.get(4)?,
            score: row.get(5)?,
            method: row.get(6)?,
            host: row.get(7)?,
            target: row.get(8)?,
            findings: row.get(9)?,
            act: row.get(10)?,
            route: row.get(11)?,
            assessment: row.get(12)?,
        })
    }
}

impl TokenRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            secret_sha256: row.get(2)?,
            made_at_ms: row.get(3)?,
            expires_at_ms: row.get(4)?,
        })
    }
}
