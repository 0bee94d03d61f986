//! From readiness to the last breath: signals, the stop token, and tasks of which none may die alone.

pub mod handover;
pub mod notify;
mod shown;
mod wishes;

use std::io;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use shown::{InForce, Shown};
pub use wishes::{
    Applied, Caller, Confirmed, Proposal, Proposed, Reloaded, Unfulfilled, Upgraded, Waiting, Wish, Wishes,
};

/// Descriptors that are too few to guard a busy host with.
const FEW_DESCRIPTORS: u64 = 4096;

/// Takes as many file descriptors as the host allows, and says how many: each client in the middle
/// of a request needs two.
pub fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok((soft, hard))
    });
    match raised {
        Ok((was, limit)) if limit < FEW_DESCRIPTORS => {
            tracing::warn!(was, limit, "few file descriptors: raise the hard limit (LimitNOFILE=)");
        }
        Ok((was, limit)) => tracing::info!(was, limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "the limit of file descriptors stays as it is"),
    }
}

/// The daemon's tasks.
#[derive(Debug)]
pub struct Lifecycle {
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: CancellationToken,
    release: CancellationToken,
    grace: Duration,
    signals: Signals,
    wishes: Wishes,
}

/// What a service manager or a person may send.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user2: Signal,
}

impl Lifecycle {
    /// No tasks yet; those to come may take `grace` to finish after a stop was asked for. From here
    /// on a signal ends nothing by itself: it is heeded once the daemon runs. What signals ask for
    /// besides an end is told to `wishes`.
    pub fn new(grace: Duration, wishes: Wishes) -> io::Result<Self> {
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
        };
        let stop = CancellationToken::new();
        let release = stop.child_token();
        Ok(Self { tasks: JoinSet::new(), stop, release, grace, signals, wishes })
    }

    /// What is cancelled when the daemon stops.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// What is cancelled when the daemon stops, and before, when it lets go of store and kernel for a
    /// successor. A task that ends well from then on has not ended too early.
    pub fn release_token(&self) -> CancellationToken {
        self.release.clone()
    }

    /// Runs a task; where it ends before the daemon is asked to stop, the daemon stops and fails.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Waits for a signal, or for a task that should not have ended; then lets every task finish.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let Signals { mut terminate, mut interrupt, mut hangup, mut user2 } = self.signals;
        let outcome = loop {
            tokio::select! {
                _ = terminate.recv() => break Ok(()),
                _ = interrupt.recv() => break Ok(()),
                _ = hangup.recv() => self.wishes.signalled(Wish::Reload(None)),
                _ = user2.recv() => self.wishes.signalled(Wish::Upgrade(None)),
                () = self.stop.cancelled() => break Ok(()),
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok((_, Ok(()))) if self.release.is_cancelled() => {}
                    ended => break Err(mourn(ended)),
                },
            }
        };
        // Who has handed over is no longer the one the service manager hears of.
        if !self.release.is_cancelled() {
            tracing::info!("stopping; the kernel goes on enforcing what is in force");
            notify::stopping();
        }
        self.stop.cancel();
        let finished = tokio::time::timeout(self.grace, async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Ok((name, Err(error))) = ended {
                    tracing::error!(task = name, error = format!("{error:#}"), "a task did not end well");
                }
            }
        });
        tokio::select! {
            finished = finished => {
                if finished.is_err() {
                    tracing::warn!(seconds = self.grace.as_secs(), "some tasks did not finish in time and are left behind");
                }
            }
            _ = terminate.recv() => tracing::warn!("stopping at once"),
            _ = interrupt.recv() => tracing::warn!("stopping at once"),
        }
        outcome
    }
}

/// Why a daemon whose task has ended cannot go on.
fn mourn(ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok((name, Ok(()))) => anyhow::anyhow!("the {name} task ended by itself"),
        Ok((name, Err(error))) => error.context(format!("the {name} task failed")),
        Err(error) => anyhow::Error::new(error).context("a task panicked"),
    }
}
