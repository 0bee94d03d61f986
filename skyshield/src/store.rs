//! What must outlive the daemon, on disk: decisions, incidents, operator tokens.

mod allows;
mod audit;
mod checkpoint;
mod collector;
mod erase;
mod incidents;
mod key;
mod known;
mod migrations;
mod monitoring;
mod near_misses;
mod open;
mod operators;
mod pool;
mod prune;
mod pseudonym;
mod read;
mod records;
mod rulings;
mod seal;
mod tally;
mod unescaped;
mod writer;

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use allows::AllowRow;
pub use audit::{AuditLine, AuditRow, Audited, ERASED};
pub use collector::Collector;
pub use erase::{Found, names, tables_of_people};
pub use incidents::{Filter, IncidentPage};
pub use known::KnownRow;
pub use monitoring::{AlertRow, BatchKey, HistoryRow, Kept, LevelRow, Outgoing, Point, SketchRow, TotalRow};
pub use near_misses::NearMissRow;
pub use open::OpenError;
pub use operators::OperatorRow;
pub use prune::{Keep, Size};
pub use read::Reader;
pub use records::{DecisionRow, ExceptionRow, IncidentRow, Record, Repeat, TokenRow};
pub use rulings::RulingRow;
pub use tally::{Attacker, Hour, Tally};
pub use writer::Counters;

/// Where the store is and how much it keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder of the daemon's state; made, readable by root only, when absent.
    pub dir: PathBuf,
    /// How much is kept of each kind of record.
    pub keep: Kinds,
    /// After so many days, the addresses in incidents, ended decisions, ended alerts and the audit log stand under a
    /// pseudonym; 0 is never.
    pub pseudonymise_after_days: u32,
}

/// How much is kept of each kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kinds {
    /// Refused and flagged requests.
    pub incidents: Keep,
    /// Decisions that have ended.
    pub decisions: Keep,
    /// Lines of the audit log.
    pub audit: Keep,
    /// Alerts that have ended.
    pub alerts: Keep,
    /// What is kept of requests that passed although something spoke against them: terms of scores, without a word of theirs.
    pub near_misses: Keep,
    /// Totals of hours, and sketches of days, of the business.
    pub business: Keep,
}

impl Default for Kinds {
    fn default() -> Self {
        let kept = Keep::default();
        Self {
            incidents: Keep { rows: 100_000, ..kept },
            decisions: kept,
            audit: Keep { days: 400, ..kept },
            alerts: Keep { rows: 100_000, days: 400, ..kept },
            near_misses: Keep { rows: 100_000, days: 2, ..kept },
            business: Keep { days: 761, ..kept },
        }
    }
}

impl Config {
    fn retention(&self) -> prune::Retention {
        prune::Retention { keep: self.keep, pseudonymise_after_days: self.pseudonymise_after_days }
    }

    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let kinds = [
            ("store.keep.incidents", self.keep.incidents),
            ("store.keep.decisions", self.keep.decisions),
            ("store.keep.audit", self.keep.audit),
            ("store.keep.alerts", self.keep.alerts),
            ("store.keep.near_misses", self.keep.near_misses),
            ("store.keep.business", self.keep.business),
        ];
        let (key, _) = kinds.into_iter().find(|(_, keep)| {
            keep.rows == 0
                || keep.rows > MAX_ROWS
                || keep.mebibytes == 0
                || keep.days == 0
                || keep.days > MAX_DAYS
        })?;
        Some((key, format!("rows is 1 to {MAX_ROWS}, mebibytes 1 or more, days 1 to {MAX_DAYS}")))
    }
}

/// Rows of one kind that may be asked to be kept.
const MAX_ROWS: u64 = 100_000_000;
/// Days that may be asked for.
const MAX_DAYS: u32 = 36_500;

impl Default for Config {
    fn default() -> Self {
        Self { dir: PathBuf::from("/var/lib/skyshield"), keep: Kinds::default(), pseudonymise_after_days: 0 }
    }
}

/// Records that may wait for the disk. Beyond it an append is refused and counted; the reconciler
/// brings decisions again.
pub const QUEUE: usize = 8192;

/// Why a commit failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `SQLite` refused: disk full, read-only, broken.
    #[error("the store could not write")]
    Write(#[from] rusqlite::Error),
    /// The writer is gone or cannot keep up.
    #[error("the store's writer does not take records ({0})")]
    Queue(&'static str),
}

/// The handle to the one writer.
#[derive(Clone, Debug)]
pub struct Store {
    queue: SyncSender<writer::Job>,
    counters: Counters,
}

impl Store {
    /// Hands a record over to the next group commit, at the most 100 ms away. False where the queue
    /// is full: it was not taken, and that is counted.
    pub fn append(&self, record: Record) -> bool {
        self.counters.count_waiting();
        let taken = self.queue.try_send(writer::Job::Append(record)).is_ok();
        if !taken {
            self.counters.count_taken();
            self.counters.count_refused();
        }
        taken
    }

    /// Hands a record over now, and resolves when it, and all that was handed over before it, is on disk.
    pub fn commit(&self, record: Record) -> impl Future<Output = Result<(), Error>> + use<> {
        let (reply, done) = oneshot::channel();
        self.counters.count_waiting();
        let taken = self.queue.try_send(writer::Job::Commit(record, reply)).map_err(|refused| {
            self.counters.count_taken();
            self.counters.count_refused();
            Error::Queue(match refused {
                TrySendError::Full(_) => "its queue is full",
                TrySendError::Disconnected(_) => "it has stopped",
            })
        });
        async move {
            taken?;
            done.await.map_err(|_| Error::Queue("it has stopped"))?
        }
    }

    /// Has the writer leave no copy of what was deleted, in the database or in its log; false while somebody reads
    /// what the log holds.
    pub async fn scrub(&self) -> Result<bool, Error> {
        let (reply, done) = oneshot::channel();
        self.queue
            .try_send(writer::Job::Scrub(reply))
            .map_err(|_| Error::Queue("its queue is full, or it has stopped"))?;
        done.await.map_err(|_| Error::Queue("it has stopped"))?
    }

    /// Has the writer write what it has taken and end, whoever still holds a handle. Blocks for as
    /// long as the queue is full.
    pub fn close(&self) {
        // A writer that has ended already has nothing left to write.
        let _ended = self.queue.send(writer::Job::Close);
    }

    /// What the writer has done and what it could not do.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// An open store: its writer's handle, a reader, and the writer's thread to wait for at the end.
#[derive(Debug)]
pub struct Opened {
    /// The handle to the writer.
    pub store: Store,
    /// Reads beside it.
    pub reader: Reader,
    /// Ends once every handle is dropped and all is on disk.
    pub writer: std::thread::JoinHandle<()>,
    /// Where an unreadable store was moved to before a new one was begun.
    pub quarantined: Option<PathBuf>,
    /// The installation's own key, made once: what names people is hashed with it.
    pub key: [u8; 32],
}

/// Opens the store in `config.dir`, alone: a second daemon is refused.
pub fn open(config: &Config) -> Result<Opened, OpenError> {
    let (connection, lock, quarantined) = open::open(&config.dir)?;
    let key = key::load(&config.dir)?;
    let reader = Reader::open(&open::database(&config.dir), &key)?;
    let counters = Counters::default();
    let (queue, jobs) = std::sync::mpsc::sync_channel(QUEUE);
    let io = |source| OpenError::Io { path: config.dir.clone(), source };
    let log = checkpoint::Checkpoints::start(&open::database(&config.dir), counters.clone()).map_err(io)?;
    let writer = writer::Writer::new((connection, log), lock, config, counters.clone(), &key);
    let writer =
        std::thread::Builder::new().name("store".to_owned()).spawn(move || writer.run(&jobs)).map_err(io)?;
    Ok(Opened { store: Store { queue, counters }, reader, writer, quarantined, key })
}

#[cfg(test)]
mod tests;
