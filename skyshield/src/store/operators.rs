//! The people who log in, as kept: never a password, only what it is checked against.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// A person who may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorRow {
    /// Their name.
    pub name: String,
    /// What they are trusted with: viewer, operator, admin.
    pub role: String,
    /// What the password is checked against, in the form of PHC: algorithm, parameters, salt, hash.
    pub password: String,
    /// What their one-time codes are made of, once they have shown one.
    pub totp: Option<Vec<u8>>,
    /// The time step of the last code that was taken: no code is good twice.
    pub totp_step: u64,
    /// When they were made, in milliseconds since 1970.
    pub made_at_ms: i64,
}

impl std::fmt::Debug for OperatorRow {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("OperatorRow")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl OperatorRow {
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<usize> {
        connection
            .prepare_cached("INSERT OR REPLACE INTO operators VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![
                self.name,
                self.role,
                self.password,
                self.totp,
                self.totp_step.cast_signed(),
                self.made_at_ms
            ])
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: row.get(0)?,
            role: row.get(1)?,
            password: row.get(2)?,
            totp: row.get(3)?,
            totp_step: row.get::<_, i64>(4)?.cast_unsigned(),
            made_at_ms: row.get(5)?,
        })
    }
}

/// Every person, by name.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<OperatorRow>> {
    connection
        .prepare_cached("SELECT * FROM operators ORDER BY name")?
        .query_map([], OperatorRow::read)?
        .collect()
}

/// The person of this name.
pub(super) fn one(connection: &Connection, name: &str) -> rusqlite::Result<Option<OperatorRow>> {
    connection
        .prepare_cached("SELECT * FROM operators WHERE name = ?1")?
        .query_row([name], OperatorRow::read)
        .optional()
}
