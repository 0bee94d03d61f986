//! The one writer: a thread that commits in groups and never lets go of what it has taken.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::fcntl::Flock;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::audit;
use super::records::Record;
use super::{Config, Error};
use crate::clock;

/// An append is on disk after this long at the latest.
const GROUP: Duration = Duration::from_millis(100);
/// After a failed commit the next try waits this long.
const RETRY: Duration = Duration::from_secs(1);
/// Records kept for another try while the disk refuses; beyond it the oldest go, counted.
const MAX_PENDING: usize = 16_384;
/// How often what is too old is deleted.
const PRUNE_EVERY: Duration = Duration::from_mins(1);
/// Rows deleted at a time, so that no commit waits long behind it.
const PRUNE_ROWS: u32 = 1000;
const MS_PER_DAY: i64 = 86_400_000;
/// Lines of the audit log that are kept at the most, and for how long.
const MAX_AUDIT_LINES: u64 = 1_000_000;
const AUDIT_DAYS: i64 = 400;

/// What reaches the writer.
#[derive(Debug)]
pub(super) enum Job {
    /// Write with the next group.
    Append(Record),
    /// Write now and say when it is on disk.
    Commit(Record, oneshot::Sender<Result<(), Error>>),
    /// Write what is there and end.
    Close,
}

/// What the writer has done and what it could not do, since start.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<[AtomicU64; 4]>);

impl Counters {
    /// Records on disk.
    pub fn written(&self) -> u64 {
        self.0[0].load(Ordering::Relaxed)
    }

    /// Records not taken because the queue was full.
    pub fn refused(&self) -> u64 {
        self.0[1].load(Ordering::Relaxed)
    }

    /// Commits that failed and were tried again or given up.
    pub fn failed_commits(&self) -> u64 {
        self.0[2].load(Ordering::Relaxed)
    }

    /// Records given up because the disk refused for too long.
    pub fn dropped(&self) -> u64 {
        self.0[3].load(Ordering::Relaxed)
    }

    pub(super) fn count_refused(&self) {
        self.0[1].fetch_add(1, Ordering::Relaxed);
    }

    fn add(&self, which: usize, count: usize) {
        self.0[which].fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// The writer's state.
pub(super) struct Writer {
    connection: Connection,
    /// Held for as long as the writer lives.
    _lock: Flock<File>,
    counters: Counters,
    max_incidents: u64,
    keep_ms: i64,
    pending: VecDeque<Record>,
    key: audit::Key,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        lock: Flock<File>,
        config: &Config,
        counters: Counters,
        key: audit::Key,
    ) -> Self {
        Self {
            connection,
            _lock: lock,
            counters,
            max_incidents: config.max_incidents,
            keep_ms: i64::from(config.keep_days) * MS_PER_DAY,
            pending: VecDeque::new(),
            key,
        }
    }

    /// Writes until it is closed or every handle is dropped.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut flush_at: Option<Instant> = None;
        let mut prune_at = clock::now();
        loop {
            let now = clock::now();
            if flush_at.is_some_and(|at| at <= now) {
                flush_at = self.flush().is_err().then(|| now + RETRY);
            }
            if prune_at <= now {
                prune_at = now + PRUNE_EVERY;
                if let Err(error) = self.prune() {
                    tracing::warn!(%error, "the store could not delete what is too old");
                }
            }
            let wait = flush_at.unwrap_or(prune_at).min(prune_at).saturating_duration_since(now);
            match jobs.recv_timeout(wait) {
                Ok(Job::Append(record)) => {
                    self.keep(record);
                    flush_at.get_or_insert(now + GROUP);
                }
                Ok(Job::Commit(record, reply)) => {
                    let written = self.flush().and_then(|()| self.write([&record].into_iter()));
                    flush_at = (!self.pending.is_empty()).then(|| now + RETRY);
                    // Whoever asked may have gone away meanwhile.
                    let _gone = reply.send(written.map_err(Error::Write));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Job::Close) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if self.flush().is_err() {
            self.counters.add(3, self.pending.len());
            tracing::error!(
                records = self.pending.len(),
                "the store was closed with records that the disk refused"
            );
        }
    }

    fn keep(&mut self, record: Record) {
        if self.pending.len() >= MAX_PENDING {
            self.pending.pop_front();
            self.counters.add(3, 1);
        }
        self.pending.push_back(record);
    }

    /// Writes all that is pending, or keeps all of it.
    fn flush(&mut self) -> rusqlite::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let written = self.write(pending.iter());
        if let Err(error) = &written {
            tracing::error!(%error, records = pending.len(), "the store could not write; it will try again");
            self.pending = pending;
        }
        written
    }

    fn write<'a>(&mut self, records: impl Iterator<Item = &'a Record>) -> rusqlite::Result<()> {
        let mut written = 0;
        let outcome = self.connection.transaction().and_then(|transaction| {
            for record in records {
                record.write(&transaction, &self.key)?;
                written += 1;
            }
            transaction.commit()
        });
        match &outcome {
            Ok(()) => self.counters.add(0, written),
            Err(_) => self.counters.add(2, 1),
        }
        outcome
    }

    /// Deletes, a bounded number at a time, what is older or more than is to be kept.
    fn prune(&mut self) -> rusqlite::Result<()> {
        let since_epoch = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        let oldest_ms = now_ms.saturating_sub(self.keep_ms);
        self.connection.execute(
            "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE at_ms < ?1 ORDER BY id LIMIT ?2)",
            params![oldest_ms, PRUNE_ROWS],
        )?;
        self.connection.execute(
            "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents ORDER BY id
             LIMIT min(?2, max(0, (SELECT count(*) FROM incidents) - ?1)))",
            params![self.max_incidents.cast_signed(), PRUNE_ROWS],
        )?;
        // The newest decision stays: its number is where numbering goes on.
        self.connection.execute(
            "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions
             WHERE coalesce(ended_at_ms, expires_at_ms) < ?1 AND id < (SELECT max(id) FROM decisions) LIMIT ?2)",
            params![oldest_ms, PRUNE_ROWS],
        )?;
        let transaction = self.connection.transaction()?;
        let oldest_ms = now_ms.saturating_sub(AUDIT_DAYS * MS_PER_DAY);
        audit::prune(&transaction, &self.key, (oldest_ms, MAX_AUDIT_LINES), PRUNE_ROWS)?;
        transaction.commit()?;
        self.connection.execute_batch("PRAGMA incremental_vacuum(1000)")
    }
}
