//! What is kept, as rows: wall time in milliseconds since 1970, everything else as people read it.

use rusqlite::{Connection, Row, params};

use super::allows::AllowRow;
use super::audit::{self, AuditRow};
use super::erase::{self, Found};
use super::monitoring::Kept;
use super::near_misses::NearMissRow;
use super::operators::OperatorRow;
use super::rulings::{self, RulingRow};
use super::seal;
use super::unescaped::unescaped;
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
    /// What an operator has noted beside it; empty for nothing.
    pub comment: String,
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
    /// What it is trusted with: viewer, operator, admin.
    pub role: String,
    /// What it is narrowed to, names with spaces between; none is all that its role may do.
    pub scopes: Option<String>,
    /// From where it is good, prefixes with spaces between; empty is from everywhere.
    pub networks: String,
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

/// An exception as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionRow {
    /// Its id.
    pub id: String,
    /// What it covers, as JSON: `exceptions::Scope`.
    pub scope: String,
    /// Why.
    pub comment: String,
    /// Who made it.
    pub made_by: String,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: i64,
    /// When it ends by itself.
    pub expires_at_ms: Option<i64>,
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
    /// A request passed although something spoke against it.
    NearMiss(NearMissRow),
    /// A ruling came into force.
    Ruling(RulingRow),
    /// A ruling ended.
    RulingEnded {
        /// Which.
        id: DecisionId,
        /// Why.
        cause: Ended,
        /// When, in milliseconds since 1970.
        at_ms: i64,
    },
    /// All of these, or none.
    All(Vec<Record>),
    /// A token was made.
    Token(TokenRow),
    /// An exception was made.
    Exception(ExceptionRow),
    /// An exception was removed, or its time is over.
    ExceptionRemoved {
        /// Its id.
        id: String,
    },
    /// Somebody changed something.
    Audit(AuditRow),
    /// Rows that name somebody are to go.
    Erase(Found),
    /// Somebody may log in, or their password, role or codes have changed.
    Operator(OperatorRow),
    /// Somebody may log in no more.
    OperatorRemoved {
        /// Their name.
        name: String,
    },
    /// Something is known.
    Known(super::KnownRow),
    /// It is known no more.
    Forgotten {
        /// Whose knowledge it was.
        page: &'static str,
        /// What it was about.
        key: String,
    },
    /// A token was taken back.
    TokenRevoked {
        /// The public part.
        id: String,
    },
    /// Something was measured, or told of.
    Monitoring(Box<Kept>),
}

impl Record {
    /// Writes the change. A decision seen again keeps how fast it was enforced.
    pub(super) fn write(&self, connection: &Connection, key: &audit::Key) -> rusqlite::Result<()> {
        match self {
            Self::Decision(row) => connection
                .prepare_cached(
                    "INSERT INTO decisions
                     (id, source, origin, layer, reason, incident, made_at_ms, expires_at_ms, enforced_after_us, comment, seal)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                     ON CONFLICT (id) DO UPDATE SET source = excluded.source, origin = excluded.origin,
                     layer = excluded.layer, reason = excluded.reason, incident = excluded.incident,
                     made_at_ms = excluded.made_at_ms, expires_at_ms = excluded.expires_at_ms,
                     comment = excluded.comment, seal = excluded.seal",
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
                    row.enforced_after_us,
                    row.comment,
                    seal::of_decision(row)
                ]),
            Self::Ended { id, cause, at_ms } => connection
                .prepare_cached(
                    "UPDATE decisions SET ended_at_ms = ?2, ended = ?3, seal = 0 WHERE id = ?1 AND ended_at_ms IS NULL",
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
            Self::NearMiss(row) => row.write(connection),
            Self::Ruling(row) => row.write(connection),
            Self::RulingEnded { id, cause, at_ms } => rulings::end(connection, *id, *cause, *at_ms),
            Self::All(records) => {
                return records.iter().try_for_each(|record| record.write(connection, key));
            }
            Self::Token(row) => connection
                .prepare_cached("INSERT INTO tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
                .execute(params![
                    row.id,
                    row.name,
                    row.secret_sha256,
                    row.made_at_ms,
                    row.expires_at_ms,
                    row.role,
                    row.scopes,
                    row.networks
                ]),
            Self::Audit(row) => row.write(connection, key),
            Self::Erase(found) => erase::take_out(connection, found),
            Self::Operator(row) => row.write(connection),
            Self::OperatorRemoved { name } => {
                connection.prepare_cached("DELETE FROM operators WHERE name = ?1")?.execute([name])
            }
            Self::Exception(row) => connection
                .prepare_cached("INSERT INTO exceptions VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute(params![
                    row.id,
                    row.scope,
                    row.comment,
                    row.made_by,
                    row.made_at_ms,
                    row.expires_at_ms
                ]),
            Self::ExceptionRemoved { id } => {
                connection.prepare_cached("DELETE FROM exceptions WHERE id = ?1")?.execute(params![id])
            }
            Self::Known(row) => row.write(connection),
            Self::Forgotten { page, key } => connection
                .prepare_cached("DELETE FROM known WHERE page = ?1 AND key = ?2")?
                .execute(params![page, key]),
            Self::TokenRevoked { id } => {
                connection.prepare_cached("DELETE FROM tokens WHERE id = ?1")?.execute(params![id])
            }
            Self::Monitoring(kept) => kept.write(connection),
        }
        .map(|_| ())
    }
}

impl DecisionRow {
    /// The columns this reads, in its order.
    pub(super) const COLUMNS: &str = "id, source, origin, layer, reason, incident, made_at_ms, expires_at_ms, enforced_after_us, comment, seal";

    /// The row, or none where it is not what was written.
    pub(super) fn read_sealed(row: &Row<'_>) -> rusqlite::Result<Option<Self>> {
        let seal: Option<i64> = row.get(10)?;
        // A release that sealed nothing left none.
        let fits = |read: &Self| seal.is_none_or(|seal| seal == seal::of_decision(read));
        // What is not even text any more is not what was written either.
        Ok(Self::read(row).ok().filter(fits))
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
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
            comment: row.get(9)?,
        })
    }
}

impl IncidentRow {
    /// Why it is one. A row of a release that did not keep it has no terms.
    pub fn assessment(&self) -> Assessment {
        serde_json::from_str(&self.assessment).unwrap_or_default()
    }

    /// The host asked for, as it was before it was made fit for people to read.
    pub fn host_bytes(&self) -> Vec<u8> {
        unescaped(&self.host)
    }

    /// The target, likewise.
    pub fn target_bytes(&self) -> Vec<u8> {
        unescaped(&self.target)
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
            role: row.get(5)?,
            scopes: row.get(6)?,
            networks: row.get(7)?,
        })
    }
}

impl ExceptionRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            scope: row.get(1)?,
            comment: row.get(2)?,
            made_by: row.get(3)?,
            made_at_ms: row.get(4)?,
            expires_at_ms: row.get(5)?,
        })
    }
}
