//! Requests that passed although something spoke against them: what that was, without a word of theirs.

use rusqlite::{Connection, Row, params};

/// A near miss as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMissRow {
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// The route that took it.
    pub route: String,
    /// What its score was made of, as JSON: [`crate::engine::incident::Assessment`], without matched bytes.
    pub assessment: String,
}

impl NearMissRow {
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<usize> {
        let sql = "INSERT INTO near_misses (at_ms, route, assessment) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![self.at_ms, self.route, self.assessment])
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { at_ms: row.get(0)?, route: row.get(1)?, assessment: row.get(2)? })
    }
}

/// Deletes, `limit` at the most, what is older than `oldest_ms`; how many.
pub(super) fn prune(connection: &Connection, oldest_ms: i64, limit: u32) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM near_misses WHERE id IN (SELECT id FROM near_misses WHERE at_ms < ?1 LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![oldest_ms, limit])
}

/// Deletes the oldest `surplus`; how many.
pub(super) fn prune_surplus(connection: &Connection, surplus: i64) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM near_misses WHERE id IN (SELECT id FROM near_misses ORDER BY id LIMIT ?1)";
    connection.prepare_cached(sql)?.execute([surplus])
}
