//! Reading beside the writer: what is in force, what happened, who may come in.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::allows::AllowRow;
use super::audit::{self, AuditLine, Audited};
use super::erase::{self, Found};
use super::incidents::{self, Filter, IncidentPage};
use super::known::KnownRow;
use super::near_misses::NearMissRow;
use super::open::OpenError;
use super::operators::{self, OperatorRow};
use super::pool::Pool;
use super::prune::{self, Size};
use super::pseudonym::Pseudonyms;
use super::records::{DecisionRow, ExceptionRow, IncidentRow, Repeat, TokenRow};
use super::rulings::RulingRow;

/// A reader. Its calls block for as long as the disk does: call them where that is allowed.
#[derive(Clone)]
pub struct Reader {
    pool: Pool,
    audit_key: audit::Key,
    pseudonyms: Pseudonyms,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Reader").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn open(path: &Path, key: &[u8; 32]) -> Result<Self, OpenError> {
        let (pool, audit_key) = (Pool::open(path)?, audit::Key::of(key));
        Ok(Self { pool, audit_key, pseudonyms: Pseudonyms::new(key) })
    }

    /// The decisions that have not ended, of which those whose time is over at `now_ms` are left out.
    pub fn decisions_in_force(&self, now_ms: i64) -> rusqlite::Result<Vec<DecisionRow>> {
        let mut rows = Vec::new();
        self.each_decision_in_force(now_ms, |row| rows.push(row))?;
        Ok(rows)
    }

    /// The same, one after the other in the order of their numbers: there may be a million.
    pub fn each_decision_in_force(
        &self,
        now_ms: i64,
        mut see: impl FnMut(DecisionRow),
    ) -> rusqlite::Result<()> {
        let sql = format!(
            "SELECT {} FROM decisions WHERE ended_at_ms IS NULL AND coalesce(expires_at_ms > ?1, 1) ORDER BY id",
            DecisionRow::COLUMNS
        );
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([now_ms])?;
            let mut broken = 0_u64;
            while let Some(row) = rows.next()? {
                match DecisionRow::read_sealed(row)? {
                    Some(row) => see(row),
                    None => broken += 1,
                }
            }
            tell_broken(broken, "decisions");
            Ok(())
        })
    }

    /// The numbers of the same, in order.
    pub fn numbers_in_force(&self, now_ms: i64) -> rusqlite::Result<Vec<u64>> {
        let sql = "SELECT id FROM decisions
                   WHERE ended_at_ms IS NULL AND coalesce(expires_at_ms > ?1, 1) ORDER BY id";
        self.with(|connection| {
            let read = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0).map(i64::cast_unsigned);
            connection.prepare_cached(sql)?.query_map([now_ms], read)?.collect()
        })
    }

    /// Whether the decision with number `id` is known to have ended.
    pub fn has_ended(&self, id: u64) -> rusqlite::Result<bool> {
        let sql = "SELECT ended_at_ms IS NOT NULL FROM decisions WHERE id = ?1";
        self.with(|connection| {
            let ended =
                connection.prepare_cached(sql)?.query_row([id.cast_signed()], |row| row.get(0)).optional()?;
            Ok(ended.unwrap_or(false))
        })
    }

    /// How often detectors banned each source since `since_ms`, and when the last time; of the newest
    /// `limit` bans.
    pub fn repeats(&self, since_ms: i64, limit: usize) -> rusqlite::Result<Vec<Repeat>> {
        let sql = "SELECT source, count(*), max(made_at_ms) FROM
                   (SELECT source, made_at_ms FROM decisions
                    WHERE origin = 'detector' AND made_at_ms >= ?1 ORDER BY id DESC LIMIT ?2)
                   GROUP BY source";
        self.with(|connection| {
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Repeat { source: row.get(0)?, times: row.get(1)?, last_ms: row.get(2)? })
            };
            connection
                .prepare_cached(sql)?
                .query_map(params![since_ms, i64::try_from(limit).unwrap_or(i64::MAX)], read)?
                .collect()
        })
    }

    /// The highest number ever given to a decision.
    pub fn last_decision(&self) -> rusqlite::Result<u64> {
        let sql = "SELECT max(coalesce((SELECT max(id) FROM decisions), 0),
                              coalesce((SELECT max(id) FROM rulings), 0))";
        self.with(|connection| {
            connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
        })
    }

    /// At the most `limit` incidents that `filter` takes before the one with id `before` (or the newest),
    /// newest first.
    pub fn incidents(
        &self,
        filter: &Filter,
        before: Option<&str>,
        limit: u32,
    ) -> rusqlite::Result<IncidentPage> {
        self.with(|connection| incidents::look(connection, filter, before, limit))
    }

    /// The incident with this id.
    pub fn incident(&self, id: &str) -> rusqlite::Result<Option<IncidentRow>> {
        let sql = "SELECT * FROM incidents WHERE id = ?1";
        self.with(|connection| connection.prepare_cached(sql)?.query_row([id], IncidentRow::read).optional())
    }

    /// At the most `limit` incidents since `since_ms` that were refused, newest first; of one address, if
    /// one is named.
    pub fn refused_since(
        &self,
        since_ms: i64,
        address: Option<&str>,
        limit: u32,
    ) -> rusqlite::Result<Vec<IncidentRow>> {
        let sql =
            "SELECT * FROM incidents WHERE at_ms >= ?1 AND (?2 IS NULL OR address = ?2) AND act != 'observe'
                   ORDER BY id DESC LIMIT ?3";
        self.with(|connection| {
            let rows = params![since_ms, address, limit];
            connection.prepare_cached(sql)?.query_map(rows, IncidentRow::read)?.collect()
        })
    }

    /// Every exception whose time is not over at `now_ms`, oldest first.
    pub fn exceptions(&self, now_ms: i64) -> rusqlite::Result<Vec<ExceptionRow>> {
        let sql = "SELECT * FROM exceptions WHERE coalesce(expires_at_ms > ?1, 1) ORDER BY made_at_ms, id";
        self.with(|connection| {
            connection.prepare_cached(sql)?.query_map([now_ms], ExceptionRow::read)?.collect()
        })
    }

    /// The entries of the allow list that are in force at `now_ms`.
    pub fn allows(&self, now_ms: i64) -> rusqlite::Result<Vec<AllowRow>> {
        let sql = format!(
            "SELECT {} FROM allows WHERE coalesce(expires_at_ms > ?1, 1) ORDER BY id",
            AllowRow::COLUMNS
        );
        self.with(|connection| {
            connection.prepare_cached(&sql)?.query_map([now_ms], AllowRow::read)?.collect()
        })
    }

    /// At the most `limit` incidents since `since_ms`, newest first.
    pub fn incidents_since(&self, since_ms: i64, limit: u32) -> rusqlite::Result<Vec<IncidentRow>> {
        let sql = "SELECT * FROM incidents WHERE at_ms >= ?1 ORDER BY id DESC LIMIT ?2";
        self.with(|connection| {
            connection.prepare_cached(sql)?.query_map(params![since_ms, limit], IncidentRow::read)?.collect()
        })
    }

    /// At the most `limit` near misses since `since_ms`, newest first.
    pub fn near_misses(&self, since_ms: i64, limit: u32) -> rusqlite::Result<Vec<NearMissRow>> {
        let sql =
            "SELECT at_ms, route, assessment FROM near_misses WHERE at_ms >= ?1 ORDER BY id DESC LIMIT ?2";
        self.with(|connection| {
            connection.prepare_cached(sql)?.query_map(params![since_ms, limit], NearMissRow::read)?.collect()
        })
    }

    /// The rulings that have not ended, of which those whose time is over at `now_ms` are left out.
    pub fn rulings(&self, now_ms: i64) -> rusqlite::Result<Vec<RulingRow>> {
        let sql = format!(
            "SELECT {} FROM rulings WHERE ended_at_ms IS NULL AND coalesce(expires_at_ms > ?1, 1) ORDER BY id",
            RulingRow::COLUMNS
        );
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows: Vec<_> =
                statement.query_map([now_ms], RulingRow::read_sealed)?.collect::<rusqlite::Result<_>>()?;
            let whole: Vec<_> = rows.iter().flatten().cloned().collect();
            tell_broken((rows.len() - whole.len()) as u64, "rulings");
            Ok(whole)
        })
    }

    /// What is known on `page` at `now_ms`, at the most `limit`, what ends last first.
    pub fn known(&self, page: &str, now_ms: i64, limit: usize) -> rusqlite::Result<Vec<KnownRow>> {
        let sql = "SELECT page, key, value, expires_at_ms FROM known
                   WHERE page = ?1 AND coalesce(expires_at_ms > ?2, 1)
                   ORDER BY coalesce(expires_at_ms, 9223372036854775807) DESC LIMIT ?3";
        self.with(|connection| {
            let rows = params![page, now_ms, i64::try_from(limit).unwrap_or(i64::MAX)];
            connection.prepare_cached(sql)?.query_map(rows, KnownRow::read)?.collect()
        })
    }

    /// Every token.
    pub fn tokens(&self) -> rusqlite::Result<Vec<TokenRow>> {
        let sql = "SELECT * FROM tokens ORDER BY made_at_ms, id";
        self.with(|connection| connection.prepare_cached(sql)?.query_map([], TokenRow::read)?.collect())
    }

    /// The token whose public part is `id`.
    pub fn token(&self, id: &str) -> rusqlite::Result<Option<TokenRow>> {
        let sql = "SELECT * FROM tokens WHERE id = ?1";
        self.with(|connection| connection.prepare_cached(sql)?.query_row([id], TokenRow::read).optional())
    }

    /// At the most `limit` lines of the audit log before number `before` (or the newest), newest first.
    pub fn audit(&self, before: Option<u64>, limit: u32) -> rusqlite::Result<Vec<AuditLine>> {
        self.with(|connection| audit::lines(connection, before, limit))
    }

    /// Looks through the whole audit log.
    pub fn verify_audit(&self) -> rusqlite::Result<Audited> {
        self.with(|connection| audit::verify(connection, &self.audit_key))
    }

    /// The erasures among the newest `of` lines of the audit log, newest first.
    pub fn erasures(&self, of: u32) -> rusqlite::Result<Vec<AuditLine>> {
        let lines = self.with(|connection| audit::lines(connection, None, of))?;
        Ok(lines.into_iter().filter(|line| line.action == audit::ERASED).collect())
    }

    /// How much there is of each kind of record.
    pub fn sizes(&self) -> rusqlite::Result<Vec<Size>> {
        self.with(prune::sizes)
    }

    /// The rows that name `what`, or whoever stands under its pseudonym, by table.
    pub fn naming(&self, what: &str) -> rusqlite::Result<Vec<Found>> {
        let pseudonyms = [self.pseudonyms.of(what), self.pseudonyms.of(&format!("user:{what}"))];
        self.with(|connection| erase::find_all(connection, what, &pseudonyms))
    }

    /// The name under which `what` stands where it must not be named.
    pub fn pseudonym(&self, what: &str) -> String {
        self.pseudonyms.of(what)
    }

    /// Every person who may log in, by name.
    pub fn operators(&self) -> rusqlite::Result<Vec<OperatorRow>> {
        self.with(operators::all)
    }

    /// The person of this name.
    pub fn operator(&self, name: &str) -> rusqlite::Result<Option<OperatorRow>> {
        self.with(|connection| operators::one(connection, name))
    }

    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.pool.with(read)
    }
}

/// What a disk made up is told of, and never in force.
fn tell_broken(count: u64, what: &str) {
    if count > 0 {
        tracing::error!(count, what, "rows of the store are not what was written, and are left out");
    }
}
