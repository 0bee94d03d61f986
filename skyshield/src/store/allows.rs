//! The allow list as kept.

use rusqlite::{Connection, Row, params};

use crate::engine::allow::AllowId;

/// An entry of the allow list as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowRow {
    /// Its number.
    pub id: AllowId,
    /// Whom it lets through: an address, a prefix or a DNS name.
    pub whom: String,
    /// Why, in the operator's words.
    pub comment: String,
    /// Who made it.
    pub by: String,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: i64,
    /// When it ends by itself; none is until removed.
    pub expires_at_ms: Option<i64>,
    /// Of a name, the addresses of its last good answer, with spaces between.
    pub addresses: String,
}

impl AllowRow {
    /// The columns this reads and writes, in its order.
    pub(super) const COLUMNS: &str = "id, whom, comment, made_by, made_at_ms, expires_at_ms, addresses";

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<usize> {
        let sql =
            format!("INSERT OR REPLACE INTO allows ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", Self::COLUMNS);
        connection.prepare_cached(&sql)?.execute(params![
            self.id.0.cast_signed(),
            self.whom,
            self.comment,
            self.by,
            self.made_at_ms,
            self.expires_at_ms,
            self.addresses
        ])
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: AllowId(row.get::<_, i64>(0)?.cast_unsigned()),
            whom: row.get(1)?,
            comment: row.get(2)?,
            by: row.get(3)?,
            made_at_ms: row.get(4)?,
            expires_at_ms: row.get(5)?,
            addresses: row.get(6)?,
        })
    }
}
