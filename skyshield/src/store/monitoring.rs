//! What is measured and told of, as kept: the history, business totals, service levels, alerts.

pub(super) mod alerts;
pub(super) mod business;
mod history;

use rusqlite::Connection;

pub use alerts::{AlertRow, Outgoing};
pub use business::{BatchKey, SketchRow, TotalRow};
pub use history::{HistoryRow, LevelRow, Point};

/// One change to what is kept of measurements.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// A minute of the main series.
    History(Vec<HistoryRow>),
    /// What an hour of each site has come to so far.
    Levels(Vec<LevelRow>),
    /// Batches of business events: their keys, and what they add.
    Business {
        /// The batches, so that each counts once.
        keys: Vec<BatchKey>,
        /// What is added to totals.
        totals: Vec<TotalRow>,
        /// Sketches as they are now.
        sketches: Vec<SketchRow>,
    },
    /// Alerts as they are now.
    Alerts(Vec<AlertRow>),
    /// Messages that are to be sent, and the alerts that somebody is told of by them.
    Outgoing {
        /// The messages.
        messages: Vec<Outgoing>,
        /// The alerts' ids.
        told: Vec<String>,
        /// When, in milliseconds since 1970.
        at_ms: i64,
    },
    /// Messages that are done with: sent or given up.
    Sent(Vec<String>),
    /// What is older than this is to go, in milliseconds since 1970.
    Prune {
        /// Now.
        now_ms: i64,
        /// Days of the history.
        history_days: u32,
    },
}

impl Kept {
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<usize> {
        match self {
            Self::History(rows) => history::write(rows, connection),
            Self::Levels(rows) => history::write_levels(rows, connection),
            Self::Business { keys, totals, sketches } => business::write(keys, totals, sketches, connection),
            Self::Alerts(rows) => alerts::write(rows, connection),
            Self::Outgoing { messages, told, at_ms } => {
                Ok(alerts::write_outgoing(messages, connection)?
                    + alerts::note_told(told, *at_ms, connection)?)
            }
            Self::Sent(ids) => alerts::forget_outgoing(ids, connection),
            Self::Prune { now_ms, history_days } => {
                let now = now_ms / 1000;
                Ok(history::prune(now, *history_days, connection)? + business::prune(now, connection)?)
            }
        }
    }
}

/// The tables.
pub(super) const TABLES: &str = "CREATE TABLE history (
         series TEXT NOT NULL,
         step INTEGER NOT NULL,
         at INTEGER NOT NULL,
         count INTEGER NOT NULL,
         sum REAL NOT NULL,
         max REAL NOT NULL,
         PRIMARY KEY (series, step, at)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX history_by_age ON history (step, at);
     CREATE TABLE service_levels (
         site TEXT NOT NULL,
         objective TEXT NOT NULL,
         hour INTEGER NOT NULL,
         bad INTEGER NOT NULL,
         total INTEGER NOT NULL,
         PRIMARY KEY (site, objective, hour)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE business_totals (
         kind TEXT NOT NULL,
         currency TEXT NOT NULL,
         step INTEGER NOT NULL,
         at INTEGER NOT NULL,
         count INTEGER NOT NULL,
         sum INTEGER NOT NULL,
         PRIMARY KEY (step, at, kind, currency)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE business_sketches (
         kind TEXT NOT NULL,
         step INTEGER NOT NULL,
         at INTEGER NOT NULL,
         registers BLOB NOT NULL,
         PRIMARY KEY (kind, step, at)
     ) STRICT;
     CREATE TABLE business_batches (
         key BLOB PRIMARY KEY,
         digest BLOB NOT NULL,
         at_ms INTEGER NOT NULL,
         events INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX business_batches_by_age ON business_batches (at_ms);
     CREATE TABLE alerts (
         id TEXT PRIMARY KEY,
         rule TEXT NOT NULL,
         which TEXT NOT NULL,
         severity TEXT NOT NULL,
         summary TEXT NOT NULL,
         value REAL NOT NULL,
         started_at_ms INTEGER NOT NULL,
         resolved_at_ms INTEGER,
         notified_at_ms INTEGER
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX alerts_firing ON alerts (id) WHERE resolved_at_ms IS NULL;
     CREATE TABLE alerts_outgoing (
         id TEXT PRIMARY KEY,
         receiver TEXT NOT NULL,
         notice TEXT NOT NULL,
         made_at_ms INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;";
