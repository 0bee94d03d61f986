//! What rooms know and do not want to learn twice: small pages of keys and values, each with its end.

use rusqlite::{Connection, Row, params};

/// Something that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRow {
    /// Whose knowledge it is.
    pub page: String,
    /// What it is about.
    pub key: String,
    /// What is known, as the page's owner writes it.
    pub value: String,
    /// When it is known no more, in milliseconds since 1970; none is until it is forgotten.
    pub expires_at_ms: Option<i64>,
}

impl KnownRow {
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<usize> {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO known (page, key, value, expires_at_ms) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![self.page, self.key, self.value, self.expires_at_ms])
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { page: row.get(0)?, key: row.get(1)?, value: row.get(2)?, expires_at_ms: row.get(3)? })
    }
}
