//! Handing everything over to a successor, while requests are served: sockets first, then store and
//! kernel, in this order and never to two at a time.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::Listeners;
use crate::config::Config;
use crate::forward_auth::{ForwardAuth, Inherited};
use crate::gateway::{self, Gateway};
use crate::lifecycle::handover::{self, Line, Sockets, Successor, Word};
use crate::lifecycle::{Unfulfilled, Upgraded, notify};

/// A successor that has not read its configuration and taken its sockets by then is given up.
const PREPARED_WITHIN: Duration = Duration::from_secs(30);
/// One that does not serve by then is given up, too.
const SERVES_WITHIN: Duration = Duration::from_mins(1);
/// A predecessor has finished its writing by then, or does not answer any more.
const LETS_GO_WITHIN: Duration = Duration::from_mins(1);
/// This very program, also where its file has been replaced.
const OURSELVES: &str = "/proc/self/exe";

/// Every socket the daemon listens on, its own or taken over from a predecessor.
pub(super) struct Doors {
    pub(super) gateway: Gateway,
    pub(super) forward_auth: ForwardAuth,
    pub(super) listeners: Listeners,
    /// The same sockets, for a successor.
    pub(super) sockets: Sockets,
    /// Whether the admin socket's path is ours to remove.
    pub(super) owner: Arc<AtomicBool>,
    /// Where a predecessor waits for us to serve.
    pub(super) line: Option<Line>,
}

impl Doors {
    /// Opens all of them, or none. Where there is a predecessor, it has let go of store and kernel then.
    pub(super) async fn open(config: &Config, is_successor: bool) -> anyhow::Result<Self> {
        let (mut line, mut inherited) = (None, Sockets::default());
        if is_successor {
            let (to_predecessor, sockets) = handover::inherit().context("there is nobody to succeed")?;
            (line, inherited) = (Some(to_predecessor), sockets);
        }
        let owner = Arc::new(AtomicBool::new(!is_successor));
        let gateway = Gateway::take_up(&config.gateway, &mut inherited.tcp)?;
        let listeners = Listeners::take_up(&config.api, &mut inherited, Arc::clone(&owner)).await?;
        let Sockets { tcp, unix } = &mut inherited;
        let forward_auth =
            ForwardAuth::take_up(&config.forward_auth, Inherited { tcp, unix, owner: &owner })?;
        let mut sockets = listeners.sockets()?;
        sockets.tcp.extend(gateway.sockets()?);
        let (tcp, unix) = forward_auth.sockets()?;
        sockets.tcp.extend(tcp);
        sockets.unix.extend(unix);
        if let Some(line) = &mut line {
            line.say(Word::Prepared)?;
            line.wait_for(Word::Yours, LETS_GO_WITHIN).context("the predecessor does not let go")?;
            owner.store(true, Ordering::Relaxed);
        }
        Ok(Self { gateway, forward_auth, listeners, sockets, owner, line })
    }
}

/// What a successor needs, and what is to be let go of for it.
pub(super) struct Succession {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) sockets: Arc<Sockets>,
    pub(super) gateway: gateway::Handle,
    /// Whether the admin socket's path is ours to remove.
    pub(super) owner: Arc<AtomicBool>,
    /// Asks the tasks that hold on to store and kernel to end.
    pub(super) release: CancellationToken,
    /// Ends when the last of them has ended.
    pub(super) holders: mpsc::Receiver<Infallible>,
    /// Asks the control task and the store to end.
    pub(super) finish: CancellationToken,
    /// Cancelled when they have.
    pub(super) released: CancellationToken,
    pub(super) stop: CancellationToken,
}

impl Succession {
    /// Where a later start finds the program: the file it was started from, by whatever is there then.
    pub(super) fn program() -> std::io::Result<(PathBuf, Vec<OsString>)> {
        use crate::lifecycle::handover::SUCCESSOR;
        let arguments = std::env::args_os().skip(1).filter(|word| word != SUCCESSOR).collect();
        Ok((std::env::current_exe()?, arguments))
    }

    /// Hands over. On [`Unfulfilled`] everything is as it was; on an error there is nobody left who
    /// decides, and the daemon is to fail.
    pub(super) async fn hand_over(&mut self) -> anyhow::Result<Result<Upgraded, Unfulfilled>> {
        tracing::info!(program = %self.program.display(), "a successor is started");
        let mut successor = match self.prepared(self.program.clone()).await {
            Ok(successor) => successor,
            Err(error) => {
                tracing::error!(%error, "the successor did not get ready: everything stays as it is");
                let what = format!("the successor did not get ready ({error}); its log says why");
                return Ok(Err(Unfulfilled::Refused(what)));
            }
        };
        self.let_go().await;
        if let Err(error) = serves(&mut successor).await {
            tracing::error!(%error, "the successor does not serve: this very program is started again");
            end(successor).await;
            successor = self.prepared(OURSELVES.into()).await?;
            serves(&mut successor).await?;
        }
        let pid = successor.pid();
        tracing::info!(pid, "the successor serves; what is in progress here is finished");
        notify::main_pid(pid);
        self.gateway.hand_over();
        self.stop.cancel();
        Ok(Ok(Upgraded { pid }))
    }

    async fn prepared(&self, program: PathBuf) -> std::io::Result<Successor> {
        let (arguments, sockets) = (self.arguments.clone(), Arc::clone(&self.sockets));
        blocking(move || {
            let mut successor = Successor::start(Path::new(&program), &arguments, &sockets)?;
            match successor.line.wait_for(Word::Prepared, PREPARED_WITHIN) {
                Ok(()) => Ok(successor),
                Err(error) => {
                    successor.give_up();
                    Err(error)
                }
            }
        })
        .await
    }

    /// Requests are served on, by what is known; nothing is decided any more, nothing is written.
    async fn let_go(&mut self) {
        self.owner.store(false, Ordering::Relaxed);
        self.release.cancel();
        while self.holders.recv().await.is_some() {}
        self.finish.cancel();
        self.released.cancelled().await;
    }
}

async fn serves(successor: &mut Successor) -> std::io::Result<()> {
    successor.line.say(Word::Yours)?;
    let mut line = successor.line.try_clone()?;
    blocking(move || line.wait_for(Word::Serving, SERVES_WITHIN)).await
}

async fn end(successor: Successor) {
    // Nobody can do more about a process that cannot be ended.
    let _ended = blocking(move || {
        successor.give_up();
        Ok(())
    })
    .await;
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(act).await.map_err(std::io::Error::other)?
}
