//! Business events as kept: totals by minute and by hour, sketches of users, keys of batches.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::Reader;

/// Minutes of totals that are kept, in seconds; hours are kept as long as is configured.
const MINUTES_SECS: i64 = 3 * 3600;
/// Sketches of hours that are kept, in seconds; days are kept as long as is configured.
const HOUR_SKETCHES_SECS: i64 = 50 * 3600;
/// How long a batch's key is remembered, in seconds.
const KEYS_SECS: i64 = 86_400;
/// Keys that are remembered at the most; beyond it the oldest go.
pub(super) const MAX_KEYS: i64 = 200_000;

/// A batch that was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchKey {
    /// Digest of who sent it and of its key.
    pub key: [u8; 16],
    /// Digest of what it was.
    pub digest: [u8; 16],
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
    /// How many events it had.
    pub events: u32,
}

/// A number of events of one kind in one stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotalRow {
    /// The kind.
    pub kind: String,
    /// The currency; empty where there is none.
    pub currency: String,
    /// How long the stretch is, in seconds: 60 or 3600.
    pub step: i64,
    /// When it began, in seconds since 1970.
    pub at: i64,
    /// Events.
    pub count: i64,
    /// Their amounts, in the currency's minor unit.
    pub sum: i64,
}

/// A sketch of the users in one stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SketchRow {
    /// The kind.
    pub kind: String,
    /// How long the stretch is, in seconds: 3600 or 86400.
    pub step: i64,
    /// When it began, in seconds since 1970.
    pub at: i64,
    /// The sketch.
    pub registers: Vec<u8>,
}

pub(super) fn write(
    keys: &[BatchKey],
    totals: &[TotalRow],
    sketches: &[SketchRow],
    connection: &Connection,
) -> rusqlite::Result<usize> {
    let mut insert = connection.prepare_cached("INSERT INTO business_batches VALUES (?1, ?2, ?3, ?4)")?;
    for key in keys {
        insert.execute(params![key.key.as_slice(), key.digest.as_slice(), key.at_ms, key.events])?;
    }
    let mut add = connection.prepare_cached(
        "INSERT INTO business_totals (kind, currency, step, at, count, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (step, at, kind, currency) DO UPDATE SET count = count + excluded.count, sum = sum + excluded.sum",
    )?;
    for row in totals {
        add.execute(params![row.kind, row.currency, row.step, row.at, row.count, row.sum])?;
    }
    let mut put =
        connection.prepare_cached("INSERT OR REPLACE INTO business_sketches VALUES (?1, ?2, ?3, ?4)")?;
    for row in sketches {
        put.execute(params![row.kind, row.step, row.at, row.registers])?;
    }
    Ok(keys.len() + totals.len() + sketches.len())
}

/// What is kept for a fixed time: minutes, sketches of hours, keys of batches.
pub(super) fn prune(now: i64, connection: &Connection) -> rusqlite::Result<usize> {
    let mut gone = connection
        .execute("DELETE FROM business_totals WHERE step = 60 AND at < ?1", [now - MINUTES_SECS])?;
    gone += connection
        .execute("DELETE FROM business_sketches WHERE step = 3600 AND at < ?1", [now - HOUR_SKETCHES_SECS])?;
    gone +=
        connection.execute("DELETE FROM business_batches WHERE at_ms < ?1", [(now - KEYS_SECS) * 1000])?;
    gone += connection.execute(
        "DELETE FROM business_batches WHERE key IN (SELECT key FROM business_batches ORDER BY at_ms
         LIMIT max(0, (SELECT count(*) FROM business_batches) - ?1))",
        [MAX_KEYS],
    )?;
    Ok(gone)
}

/// Deletes the totals of hours and the sketches of days that began before `oldest` (seconds since 1970); how many.
pub(in crate::store) fn prune_kept(connection: &Connection, oldest: i64) -> rusqlite::Result<usize> {
    let totals = "DELETE FROM business_totals WHERE step = 3600 AND at < ?1";
    let sketches = "DELETE FROM business_sketches WHERE step = 86400 AND at < ?1";
    Ok(connection.prepare_cached(totals)?.execute([oldest])?
        + connection.prepare_cached(sketches)?.execute([oldest])?)
}

/// Deletes those of them that began first, `surplus` of them and what began at the same time; how many.
pub(in crate::store) fn prune_surplus(connection: &Connection, surplus: i64) -> rusqlite::Result<usize> {
    if surplus == 0 {
        return Ok(0);
    }
    let last = "SELECT at FROM (SELECT at FROM business_totals WHERE step = 3600
                UNION ALL SELECT at FROM business_sketches WHERE step = 86400) ORDER BY at LIMIT 1 OFFSET ?1";
    let last = connection.prepare_cached(last)?.query_row([surplus - 1], |row| row.get::<_, i64>(0));
    last.optional()?.map_or(Ok(0), |last| prune_kept(connection, last + 1))
}

impl Reader {
    /// The batches that are remembered, the newest first.
    pub fn business_batches(&self) -> rusqlite::Result<Vec<BatchKey>> {
        let sql = "SELECT key, digest, at_ms, events FROM business_batches ORDER BY at_ms DESC LIMIT ?1";
        self.with(|connection| {
            let read = |row: &rusqlite::Row<'_>| {
                Ok(BatchKey {
                    key: row.get(0)?,
                    digest: row.get(1)?,
                    at_ms: row.get(2)?,
                    events: row.get(3)?,
                })
            };
            connection.prepare_cached(sql)?.query_map([MAX_KEYS], read)?.collect()
        })
    }

    /// The totals in steps of `step` seconds that began at or after `from` and before `to`.
    pub fn business_totals(&self, step: i64, from: i64, to: i64) -> rusqlite::Result<Vec<TotalRow>> {
        let sql = "SELECT kind, currency, step, at, count, sum FROM business_totals
                   WHERE step = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, kind, currency";
        let read = |row: &rusqlite::Row<'_>| {
            let (kind, currency, step) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(TotalRow { kind, currency, step, at: row.get(3)?, count: row.get(4)?, sum: row.get(5)? })
        };
        self.with(|connection| {
            connection.prepare_cached(sql)?.query_map(params![step, from, to], read)?.collect()
        })
    }

    /// The sketches of `kind` in steps of `step` seconds that began at or after `from` and before `to`.
    pub fn business_sketches(
        &self,
        kind: &str,
        step: i64,
        from: i64,
        to: i64,
    ) -> rusqlite::Result<Vec<Vec<u8>>> {
        let sql =
            "SELECT registers FROM business_sketches WHERE kind = ?1 AND step = ?2 AND at >= ?3 AND at < ?4";
        self.with(|connection| {
            connection
                .prepare_cached(sql)?
                .query_map(params![kind, step, from, to], |row| row.get(0))?
                .collect()
        })
    }

    /// The sketch of `kind` of the step that began at `at`.
    pub fn business_sketch(&self, kind: &str, step: i64, at: i64) -> rusqlite::Result<Option<Vec<u8>>> {
        let sql = "SELECT registers FROM business_sketches WHERE kind = ?1 AND step = ?2 AND at = ?3";
        self.with(|connection| {
            connection.prepare_cached(sql)?.query_row(params![kind, step, at], |row| row.get(0)).optional()
        })
    }
}
