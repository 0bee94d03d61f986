//! What an operator wants of the daemon's own life, by a signal or by the admin API.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::shown::Shown;

/// Wishes that may wait. One that waits already is fulfilled for all who wish the same meanwhile.
const QUEUE: usize = 8;

/// What came of reading the configuration again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Keys that have changed and are in force from here on.
    pub applied: Vec<String>,
    /// Keys that differ from what the daemon was started with, and are not in force before a restart.
    pub needs_restart: Vec<String>,
}

/// What came of handing over to a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Upgraded {
    /// The successor's process.
    pub pid: u32,
}

/// Who asks, as far as a configuration could cut him off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Since when his connection stands.
    pub since: Instant,
    /// The SSH session that he works in, where he told.
    pub session: Option<String>,
}

/// What came of putting a configuration on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Keys that have changed and are in force.
    pub applied: Vec<String>,
    /// Keys that are not in force before a restart.
    pub needs_restart: Vec<String>,
    /// After so many seconds without a confirmation all is as it was.
    pub confirm_within_secs: u64,
}

/// What came of confirming a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confirmed {
    /// Where it is read from by the next start.
    pub place: PathBuf,
    /// Where the one before it is kept, if there was one.
    pub previous: Option<PathBuf>,
}

/// A configuration that somebody wants to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Which.
    pub what: Proposed,
    /// For how long it waits for its confirmation.
    pub span: Duration,
    /// Who asks.
    pub by: Caller,
    /// Only where the configuration in force is of this revision; of whatever revision, where none is named.
    pub only_if: Option<String>,
}

/// Where a proposed configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposed {
    /// In this file.
    File(PathBuf),
    /// Here.
    Text(String),
}

/// Why a wish was not fulfilled; everything is as it was, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfulfilled {
    /// What is wrong, and where.
    #[error("{0}")]
    Refused(String),
    /// The configuration in force is another than the one that was to be replaced.
    #[error("the configuration in force has changed since; read it again")]
    Stale,
    /// The daemon is busy with others, or about to end.
    #[error("the daemon is busy with its own life; try again")]
    Busy,
}

/// Who waits for a wish to be fulfilled; nobody, where it came by a signal.
pub type Waiting<T> = Option<oneshot::Sender<Result<T, Unfulfilled>>>;

/// What is wanted.
#[derive(Debug)]
pub enum Wish {
    /// Read the configuration again.
    Reload(Waiting<Reloaded>),
    /// Say what this configuration would change, and what is wrong with it.
    Check(String, Waiting<Reloaded>),
    /// Put a configuration on trial.
    Apply(Proposal, Waiting<Applied>),
    /// Keep what is on trial.
    Confirm(Caller, Waiting<Confirmed>),
    /// Go back to what was in force before the trial.
    RollBack(Waiting<Reloaded>),
    /// Start the program anew and hand everything over to it.
    Upgrade(Waiting<Upgraded>),
}

/// Where wishes are told. Clones tell the same daemon.
#[derive(Clone, Debug)]
pub struct Wishes {
    queue: mpsc::Sender<Wish>,
    shown: Shown,
}

impl Wishes {
    /// Where to tell them, and where they come out.
    pub fn channel() -> (Self, mpsc::Receiver<Wish>) {
        let (wishes, queue) = mpsc::channel(QUEUE);
        (Self { queue: wishes, shown: Shown::default() }, queue)
    }

    /// Where the configuration in force is shown.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Has a configuration checked, and waits for what it would change.
    pub async fn check(&self, text: String) -> Result<Reloaded, Unfulfilled> {
        let (waiting, answer) = oneshot::channel();
        self.queue.try_send(Wish::Check(text, Some(waiting))).map_err(|_| Unfulfilled::Busy)?;
        answer.await.map_err(|_| Unfulfilled::Busy)?
    }

    /// Has the configuration read again, and waits for what came of it.
    pub async fn reload(&self) -> Result<Reloaded, Unfulfilled> {
        let (waiting, answer) = oneshot::channel();
        self.queue.try_send(Wish::Reload(Some(waiting))).map_err(|_| Unfulfilled::Busy)?;
        answer.await.map_err(|_| Unfulfilled::Busy)?
    }

    /// Puts a configuration on trial.
    pub async fn apply(&self, proposal: Proposal) -> Result<Applied, Unfulfilled> {
        let (waiting, answer) = oneshot::channel();
        self.queue.try_send(Wish::Apply(proposal, Some(waiting))).map_err(|_| Unfulfilled::Busy)?;
        answer.await.map_err(|_| Unfulfilled::Busy)?
    }

    /// Keeps what is on trial, for `by`, who has come by a younger connection.
    pub async fn confirm(&self, by: Caller) -> Result<Confirmed, Unfulfilled> {
        let (waiting, answer) = oneshot::channel();
        self.queue.try_send(Wish::Confirm(by, Some(waiting))).map_err(|_| Unfulfilled::Busy)?;
        answer.await.map_err(|_| Unfulfilled::Busy)?
    }

    /// Goes back to what was in force before the trial.
    pub async fn roll_back(&self) -> Result<Reloaded, Unfulfilled> {
        let (waiting, answer) = oneshot::channel();
        self.queue.try_send(Wish::RollBack(Some(waiting))).map_err(|_| Unfulfilled::Busy)?;
        answer.await.map_err(|_| Unfulfilled::Busy)?
    }

    /// Has everything handed over to a successor, and waits for what came of it.
    pub async fn upgrade(&self) -> Result<Upgraded, Unfulfilled> {
        let (waiting, answer) = oneshot::channel();
        self.queue.try_send(Wish::Upgrade(Some(waiting))).map_err(|_| Unfulfilled::Busy)?;
        answer.await.map_err(|_| Unfulfilled::Busy)?
    }

    /// What a signal says.
    pub(super) fn signalled(&self, wish: Wish) {
        if self.queue.try_send(wish).is_err() {
            tracing::warn!("a signal was not heeded: as many wishes as may wait are waiting");
        }
    }
}
