//! The one writer: a thread that commits in groups and never lets go of what it has taken.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::fcntl::Flock;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::audit;
use super::checkpoint::{self, Checkpoints};
use super::erase;
use super::prune::Retention;
use super::pseudonym::Pseudonyms;
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
/// How long others come first while there is more of it.
const PRUNE_PAUSE: Duration = Duration::from_millis(50);

/// What reaches the writer.
#[derive(Debug)]
pub(super) enum Job {
    /// Write with the next group.
    Append(Record),
    /// Write now and say when it is on disk.
    Commit(Record, oneshot::Sender<Result<(), Error>>),
    /// Leave no copy of what was deleted; says whether that was done.
    Scrub(oneshot::Sender<Result<bool, Error>>),
    /// Write what is there and end.
    Close,
}

/// What the writer has done and what it could not do, since start.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<[AtomicU64; 9]>);

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

    /// Records that wait for the writer.
    pub fn waiting(&self) -> u64 {
        self.0[4].load(Ordering::Relaxed)
    }

    /// Times that the log was worked off beside the writer.
    pub fn checkpoints(&self) -> u64 {
        self.0[5].load(Ordering::Relaxed)
    }

    /// Times that a commit had to work off what was left of the log, because it had grown too long.
    pub fn checkpoints_in_commit(&self) -> u64 {
        self.0[6].load(Ordering::Relaxed)
    }

    /// Times that the log could not be worked off beside the writer.
    pub fn failed_checkpoints(&self) -> u64 {
        self.0[7].load(Ordering::Relaxed)
    }

    /// Pages in the log after the last commit.
    pub fn log_pages(&self) -> u64 {
        self.0[8].load(Ordering::Relaxed)
    }

    pub(super) fn count_checkpoint(&self) {
        self.add(5, 1);
    }

    pub(super) fn count_failed_checkpoint(&self) {
        self.add(7, 1);
    }

    /// Counts a record before it is handed over: what waits is never fewer than none.
    pub(super) fn count_waiting(&self) {
        self.0[4].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts that it was taken, or refused.
    pub(super) fn count_taken(&self) {
        self.0[4].fetch_sub(1, Ordering::Relaxed);
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
    /// Ends before the connection closes.
    checkpoints: Checkpoints,
    /// Pages in the log at which a commit works it off itself.
    most: u32,
    connection: Connection,
    /// Held for as long as the writer lives.
    _lock: Flock<File>,
    counters: Counters,
    retention: Retention,
    pending: VecDeque<Record>,
    key: audit::Key,
    pseudonyms: Pseudonyms,
}

impl Writer {
    pub(super) fn new(
        (connection, checkpoints): (Connection, Checkpoints),
        lock: Flock<File>,
        config: &Config,
        counters: Counters,
        installation: &[u8; 32],
    ) -> Self {
        Self {
            checkpoints,
            most: checkpoint::FULL,
            connection,
            _lock: lock,
            counters,
            retention: config.retention(),
            pending: VecDeque::new(),
            key: audit::Key::of(installation),
            pseudonyms: Pseudonyms::new(installation),
        }
    }

    /// Writes until it is closed or every handle is dropped.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        self.make_room();
        let mut flush_at: Option<Instant> = None;
        let mut prune_at = clock::now();
        loop {
            let now = clock::now();
            if flush_at.is_some_and(|at| at <= now) {
                flush_at = self.flush().is_err().then(|| now + RETRY);
            }
            if prune_at <= now {
                let more = self.prune().unwrap_or_else(|error| {
                    tracing::warn!(%error, "the store could not delete what is too old");
                    false
                });
                prune_at = now + if more { PRUNE_PAUSE } else { PRUNE_EVERY };
            }
            let wait = flush_at.unwrap_or(prune_at).min(prune_at).saturating_duration_since(now);
            match jobs.recv_timeout(wait) {
                Ok(Job::Append(record)) => {
                    self.counters.count_taken();
                    self.keep(record);
                    flush_at.get_or_insert(now + GROUP);
                }
                Ok(Job::Commit(record, reply)) => {
                    self.counters.count_taken();
                    let written = self.commit(record);
                    flush_at = (!self.pending.is_empty()).then(|| now + RETRY);
                    // Whoever asked may have gone away meanwhile.
                    let _gone = reply.send(written.map_err(Error::Write));
                }
                Ok(Job::Scrub(reply)) => {
                    let scrubbed = self.flush();
                    let scrub = || erase::scrub(&self.connection);
                    let scrubbed = scrubbed.and_then(|()| self.checkpoints.alone(scrub));
                    self.make_room();
                    let _gone = reply.send(scrubbed.map_err(Error::Write));
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

    /// Without room the log is as it would be without this: slower.
    fn make_room(&self) {
        if let Some(path) = self.connection.path()
            && let Err(error) = checkpoint::make_room(path.as_ref())
        {
            tracing::warn!(%error, "the store's log could not be given its room: commits take longer");
        }
    }

    fn keep(&mut self, record: Record) {
        if self.pending.len() >= MAX_PENDING {
            self.pending.pop_front();
            self.counters.add(3, 1);
        }
        self.pending.push_back(record);
    }

    /// Writes `record` behind all that is pending, at once: the disk is waited for a single time. Where it refuses,
    /// what is pending stays so, and the record is nowhere.
    fn commit(&mut self, record: Record) -> rusqlite::Result<()> {
        self.pending.push_back(record);
        self.flush().inspect_err(|_refused| {
            self.pending.pop_back();
        })
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
            Ok(()) => {
                self.counters.add(0, written);
                self.look_at_log();
            }
            Err(_) => self.counters.add(2, 1),
        }
        outcome
    }

    /// Has the log worked off when it is worth it. What came meanwhile is worked off here, so that the log is begun
    /// anew; and all of it when it has outgrown its bound: a disk that is slower than what is decided slows the
    /// decisions down, rather than fill up.
    fn look_at_log(&mut self) {
        let looked = checkpoint::look(&self.connection).and_then(|log| {
            self.counters.0[8].store(u64::from(log.pages), Ordering::Relaxed);
            if log.pages < checkpoint::FULL {
                self.most = checkpoint::FULL;
            }
            let is_little = log.left() <= checkpoint::TAIL || log.pages >= checkpoint::MOST;
            if log.left() > 0 && log.pages >= self.most && is_little {
                self.counters.add(6, 1);
                // While somebody reads by the log it is not begun anew, and no commit should pay for that alone.
                self.most = log.pages + checkpoint::WANTED;
                return self.checkpoints.alone(|| checkpoint::passive(&self.connection));
            }
            if log.left() >= checkpoint::WANTED {
                self.checkpoints.wake();
            }
            Ok(log)
        });
        // What is committed is on disk, and stays in the log.
        if let Err(error) = looked {
            tracing::warn!(%error, "the store's log could not be looked at");
        }
    }

    /// Deletes a part of what is too old or too much; true where there is more of it.
    fn prune(&mut self) -> rusqlite::Result<bool> {
        let since_epoch = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        self.connection.execute(
            "DELETE FROM known WHERE (page, key) IN (SELECT page, key FROM known WHERE expires_at_ms < ?1 LIMIT 1000)",
            [now_ms],
        )?;
        let more = self.retention.prune(&mut self.connection, (&self.key, &self.pseudonyms), now_ms)?;
        self.look_at_log();
        Ok(more)
    }
}
