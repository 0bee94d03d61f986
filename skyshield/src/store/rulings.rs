//! Rulings as kept.

use rusqlite::{Connection, Row, params};

use super::seal;
use crate::engine::decision::{DecisionId, Ended};

/// A ruling as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulingRow {
    /// Its number, among those of all decisions.
    pub id: DecisionId,
    /// What is done: [`crate::engine::ruling::Kind::name`].
    pub kind: String,
    /// To whom.
    pub subject: String,
    /// On whose authority: [`crate::engine::decision::Origin::name`].
    pub origin: String,
    /// Why, for people.
    pub reason: String,
    /// What is noted beside it; empty for nothing.
    pub comment: String,
    /// Of a limit, the requests a minute.
    pub requests_per_min: u32,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: i64,
    /// When it ends by itself; none is until lifted.
    pub expires_at_ms: Option<i64>,
}

impl RulingRow {
    /// The columns this reads and writes, in its order.
    pub(super) const COLUMNS: &str =
        "id, kind, subject, origin, reason, comment, requests_per_min, made_at_ms, expires_at_ms, seal";

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<usize> {
        let sql = format!(
            "INSERT OR REPLACE INTO rulings ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            Self::COLUMNS
        );
        connection.prepare_cached(&sql)?.execute(params![
            self.id.0.cast_signed(),
            self.kind,
            self.subject,
            self.origin,
            self.reason,
            self.comment,
            self.requests_per_min,
            self.made_at_ms,
            self.expires_at_ms,
            seal::of_ruling(self)
        ])
    }

    /// The row, or none where it is not what was written.
    pub(super) fn read_sealed(row: &Row<'_>) -> rusqlite::Result<Option<Self>> {
        let seal: Option<i64> = row.get(9)?;
        Ok(Self::read(row).ok().filter(|read| seal.is_none_or(|seal| seal == seal::of_ruling(read))))
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: DecisionId(row.get::<_, i64>(0)?.cast_unsigned()),
            kind: row.get(1)?,
            subject: row.get(2)?,
            origin: row.get(3)?,
            reason: row.get(4)?,
            comment: row.get(5)?,
            requests_per_min: row.get::<_, Option<u32>>(6)?.unwrap_or_default(),
            made_at_ms: row.get(7)?,
            expires_at_ms: row.get(8)?,
        })
    }
}

/// Notes that a ruling has ended.
pub(super) fn end(
    connection: &Connection,
    id: DecisionId,
    cause: Ended,
    at_ms: i64,
) -> rusqlite::Result<usize> {
    let sql =
        "UPDATE rulings SET ended_at_ms = ?2, ended = ?3, seal = 0 WHERE id = ?1 AND ended_at_ms IS NULL";
    connection.prepare_cached(sql)?.execute(params![id.0.cast_signed(), at_ms, cause.name()])
}
