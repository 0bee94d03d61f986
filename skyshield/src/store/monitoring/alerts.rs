//! Alerts as kept: each from its beginning to its end, and what is still to be told of them.

use rusqlite::{Connection, Row, params};

use crate::store::Reader;
use crate::store::pseudonym::Pseudonyms;

/// Messages that wait at the most; the sender refuses more.
const MAX_OUTGOING: i64 = 10_000;

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRow {
    /// Its id: ids grow with time.
    pub id: String,
    /// The rule that raised it.
    pub rule: String,
    /// Of which of several it is: labels.
    pub which: String,
    /// How bad it is.
    pub severity: String,
    /// What it says.
    pub summary: String,
    /// The value that was last seen.
    pub value: f64,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: i64,
    /// When it ended.
    pub resolved_at_ms: Option<i64>,
    /// When somebody was told of it last.
    pub notified_at_ms: Option<i64>,
}

/// A message that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id: ids grow with time.
    pub id: String,
    /// Who is to get it.
    pub receiver: String,
    /// What it says, as JSON.
    pub notice: String,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: i64,
}

impl AlertRow {
    const COLUMNS: &str =
        "id, rule, which, severity, summary, value, started_at_ms, resolved_at_ms, notified_at_ms";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            rule: row.get(1)?,
            which: row.get(2)?,
            severity: row.get(3)?,
            summary: row.get(4)?,
            value: row.get(5)?,
            started_at_ms: row.get(6)?,
            resolved_at_ms: row.get(7)?,
            notified_at_ms: row.get(8)?,
        })
    }
}

pub(super) fn write(rows: &[AlertRow], connection: &Connection) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO alerts (id, rule, which, severity, summary, value, started_at_ms, resolved_at_ms, notified_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO UPDATE SET value = excluded.value, resolved_at_ms = excluded.resolved_at_ms",
    )?;
    for row in rows {
        statement.execute(params![
            row.id,
            row.rule,
            row.which,
            row.severity,
            row.summary,
            row.value,
            row.started_at_ms,
            row.resolved_at_ms,
            row.notified_at_ms
        ])?;
    }
    Ok(rows.len())
}

pub(super) fn write_outgoing(rows: &[Outgoing], connection: &Connection) -> rusqlite::Result<usize> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO alerts_outgoing VALUES (?1, ?2, ?3, ?4)")?;
    for row in rows {
        statement.execute(params![row.id, row.receiver, row.notice, row.made_at_ms])?;
    }
    Ok(rows.len())
}

pub(super) fn note_told(ids: &[String], at_ms: i64, connection: &Connection) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached("UPDATE alerts SET notified_at_ms = ?2 WHERE id = ?1")?;
    ids.iter().map(|id| statement.execute(params![id, at_ms])).sum()
}

pub(super) fn forget_outgoing(ids: &[String], connection: &Connection) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached("DELETE FROM alerts_outgoing WHERE id = ?1")?;
    ids.iter().map(|id| statement.execute([id])).sum()
}

/// Deletes at the most `limit` alerts that ended before `oldest_ms`; how many.
pub(in crate::store) fn prune(
    connection: &Connection,
    oldest_ms: i64,
    limit: u32,
) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE resolved_at_ms < ?1 LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![oldest_ms, limit])
}

/// Deletes the `surplus` alerts that ended first; how many.
pub(in crate::store) fn prune_surplus(connection: &Connection, surplus: i64) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE resolved_at_ms IS NOT NULL
               ORDER BY resolved_at_ms LIMIT ?1)";
    connection.prepare_cached(sql)?.execute([surplus])
}

/// Puts pseudonyms in the place of the addresses that at the most `limit` alerts name which ended before `before_ms`;
/// of how many that was done.
pub(in crate::store) fn name_no_more(
    connection: &Connection,
    pseudonyms: &Pseudonyms,
    before_ms: i64,
    limit: u32,
) -> rusqlite::Result<usize> {
    let sql = "SELECT id, which, summary FROM alerts WHERE is_anonymous = 0 AND resolved_at_ms < ?1 LIMIT ?2";
    let rows = connection
        .prepare_cached(sql)?
        .query_map(params![before_ms, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<Vec<(String, String, String)>, _>>()?;
    let mut update = connection
        .prepare_cached("UPDATE alerts SET which = ?2, summary = ?3, is_anonymous = 1 WHERE id = ?1")?;
    for (id, which, summary) in &rows {
        let over = |text: &String| pseudonyms.over_addresses(text).unwrap_or_else(|| text.clone());
        update.execute([id, &over(which), &over(summary)])?;
    }
    Ok(rows.len())
}

impl Reader {
    /// At the most `limit` alerts before the one with id `before` (or the newest), newest first.
    pub fn alerts(&self, before: Option<&str>, limit: u32) -> rusqlite::Result<Vec<AlertRow>> {
        let sql = format!(
            "SELECT {} FROM alerts WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
            AlertRow::COLUMNS
        );
        self.with(|connection| {
            connection.prepare_cached(&sql)?.query_map(params![before, limit], AlertRow::read)?.collect()
        })
    }

    /// The same, of those that have not ended.
    pub fn alerts_firing(&self, before: Option<&str>, limit: u32) -> rusqlite::Result<Vec<AlertRow>> {
        let sql = format!(
            "SELECT {} FROM alerts WHERE resolved_at_ms IS NULL AND (?1 IS NULL OR id < ?1) ORDER BY id DESC LIMIT ?2",
            AlertRow::COLUMNS
        );
        self.with(|connection| {
            connection.prepare_cached(&sql)?.query_map(params![before, limit], AlertRow::read)?.collect()
        })
    }

    /// What is to be sent, oldest first.
    pub fn alerts_outgoing(&self) -> rusqlite::Result<Vec<Outgoing>> {
        let sql = "SELECT id, receiver, notice, made_at_ms FROM alerts_outgoing ORDER BY id LIMIT ?1";
        let read = |row: &Row<'_>| {
            Ok(Outgoing {
                id: row.get(0)?,
                receiver: row.get(1)?,
                notice: row.get(2)?,
                made_at_ms: row.get(3)?,
            })
        };
        self.with(|connection| connection.prepare_cached(sql)?.query_map([MAX_OUTGOING], read)?.collect())
    }
}
