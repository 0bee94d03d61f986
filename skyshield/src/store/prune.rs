//! What is kept no longer: by age, by rows, by bytes; and whose addresses stand under a name that leads
//! nowhere after a while.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::Kinds;
use super::audit;
use super::incidents::id_at;
use super::monitoring::{alerts, business};
use super::near_misses;
use super::pseudonym::{self, Pseudonyms};

/// Rows deleted at a time, so that no commit waits long behind it.
const ROWS: u32 = 1000;
const MS_PER_DAY: i64 = 86_400_000;
/// How often lines of the audit log are restated, where there are few: each time takes a line itself.
const RESTATE_EVERY_MS: i64 = MS_PER_DAY;
/// When that was done last.
const RESTATED_AT: &str = "audit_restated_at";

/// How much of one kind of record is kept: the oldest go beyond any of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// Records at the most.
    pub rows: u64,
    /// Mebibytes at the most, of what they say; the indexes come on top.
    pub mebibytes: u64,
    /// Days at the most.
    pub days: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { rows: 1_000_000, mebibytes: 1024, days: 90 }
    }
}

impl Keep {
    fn oldest_ms(self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(i64::from(self.days).saturating_mul(MS_PER_DAY))
    }
}

/// How much there is of a kind of record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// The kind.
    pub kind: String,
    /// How many.
    pub rows: u64,
    /// How much they say, in bytes.
    pub bytes: u64,
}

/// What is kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    pub(super) keep: Kinds,
    /// After so many days, addresses stand under a pseudonym; never where it is 0.
    pub(super) pseudonymise_after_days: u32,
}

/// How much there is of each kind.
pub(super) fn sizes(connection: &Connection) -> rusqlite::Result<Vec<Size>> {
    let read = |row: &rusqlite::Row<'_>| {
        let count = |at| row.get::<_, i64>(at).map(|count| u64::try_from(count).unwrap_or(0));
        Ok(Size { kind: row.get(0)?, rows: count(1)?, bytes: count(2)? })
    };
    connection
        .prepare_cached("SELECT kind, rows, bytes FROM sizes ORDER BY kind")?
        .query_map([], read)?
        .collect()
}

fn size(connection: &Connection, kind: &str) -> rusqlite::Result<(i64, i64)> {
    let sql = "SELECT rows, bytes FROM sizes WHERE kind = ?1";
    let found = connection.prepare_cached(sql)?.query_row([kind], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(found.optional()?.unwrap_or_default())
}

/// How many of the oldest are too many: beyond the rows, and beyond the bytes by what the average says.
fn surplus((rows, bytes): (i64, i64), keep: Keep) -> i64 {
    let beyond = rows.saturating_sub(keep.rows.cast_signed());
    let most_bytes = i64::try_from(keep.mebibytes.saturating_mul(1 << 20)).unwrap_or(i64::MAX);
    let too_much = bytes.saturating_sub(most_bytes);
    let average = bytes / rows.max(1);
    let by_bytes = if too_much > 0 { too_much / average.max(1) + 1 } else { 0 };
    beyond.max(by_bytes).clamp(0, i64::from(ROWS))
}

impl Retention {
    /// Deletes, a bounded number at a time, what is older or more than is to be kept. True where there is more
    /// to do.
    pub(super) fn prune(
        &self,
        connection: &mut Connection,
        (audit_key, pseudonyms): (&audit::Key, &Pseudonyms),
        now_ms: i64,
    ) -> rusqlite::Result<bool> {
        let Kinds { incidents, decisions, audit, alerts, near_misses, business } = self.keep;
        let transaction = connection.transaction()?;
        let mut most = 0;
        let old = transaction
            .prepare_cached("DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE id < ?1 ORDER BY id LIMIT ?2)")?
            .execute(params![id_at(incidents.oldest_ms(now_ms)), ROWS])?;
        most = most.max(old);
        let too_many = surplus(size(&transaction, "incidents")?, incidents);
        most = most.max(
            transaction
                .prepare_cached(
                    "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents ORDER BY id LIMIT ?1)",
                )?
                .execute([too_many])?,
        );
        let rulings = transaction
            .prepare_cached(&delete_ended("rulings"))?
            .execute(params![decisions.oldest_ms(now_ms), ROWS])?;
        most = most.max(rulings);
        let too_many = |kind, keep| Ok::<_, rusqlite::Error>(surplus(size(&transaction, kind)?, keep));
        most = most.max(near_misses::prune(&transaction, near_misses.oldest_ms(now_ms), ROWS)?);
        let surplus_of = too_many("near_misses", near_misses)?;
        most = most.max(near_misses::prune_surplus(&transaction, surplus_of)?);
        most = most.max(alerts::prune(&transaction, alerts.oldest_ms(now_ms), ROWS)?);
        most = most.max(alerts::prune_surplus(&transaction, too_many("alerts", alerts)?)?);
        most = most.max(business::prune_kept(&transaction, business.oldest_ms(now_ms) / 1000)?);
        most = most.max(business::prune_surplus(&transaction, too_many("business", business)?)?);
        // What is in force stays.
        let ended = transaction
            .prepare_cached(&delete_ended("decisions"))?
            .execute(params![decisions.oldest_ms(now_ms), ROWS])?;
        most = most.max(ended);
        let too_many = surplus(size(&transaction, "decisions")?, decisions);
        most = most.max(
            transaction
                .prepare_cached(
                    "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE ended_at_ms IS NOT NULL
                     AND id < (SELECT max(id) FROM decisions) ORDER BY id LIMIT ?1)",
                )?
                .execute([too_many])?,
        );
        let (lines, bytes) = size(&transaction, "audit")?;
        let lines_kept = lines - surplus((lines, bytes), audit);
        let limits = (audit.oldest_ms(now_ms), u64::try_from(lines_kept).unwrap_or(0));
        audit::prune(&transaction, audit_key, limits, ROWS)?;
        if self.pseudonymise_after_days > 0 {
            let days = i64::from(self.pseudonymise_after_days);
            let before_ms = now_ms.saturating_sub(days.saturating_mul(MS_PER_DAY));
            most = most.max(pseudonyms.take_the_place(&transaction, before_ms, ROWS)?);
            most = most.max(alerts::name_no_more(&transaction, pseudonyms, before_ms, ROWS)?);
            let last = pseudonym::mark(&transaction, RESTATED_AT)?.parse::<i64>().unwrap_or(0);
            if now_ms.saturating_sub(last) >= RESTATE_EVERY_MS {
                let keys = (audit_key, pseudonyms);
                let looked_at = audit::take_the_place(&transaction, keys, (before_ms, now_ms), ROWS)?;
                if looked_at < ROWS as usize {
                    pseudonym::set_mark(&transaction, RESTATED_AT, &now_ms.to_string())?;
                }
                most = most.max(looked_at);
            }
        }
        transaction.commit()?;
        connection.execute_batch("PRAGMA incremental_vacuum(1000)")?;
        Ok(most >= ROWS as usize)
    }
}

/// Deletes what of a table ended before `?1`, `?2` rows at most, and never the newest: its number is where numbering goes
/// on. It is found by when it ended; the plus keeps the numbers from being gone through instead, most of which are below
/// the newest.
fn delete_ended(table: &str) -> String {
    format!(
        "DELETE FROM {table} WHERE id IN (SELECT id FROM {table}
         WHERE coalesce(ended_at_ms, expires_at_ms) < ?1 AND +id < (SELECT max(id) FROM {table}) LIMIT ?2)"
    )
}

#[cfg(test)]
mod tests;
