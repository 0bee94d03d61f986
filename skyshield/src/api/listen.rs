//! Where operators and scrapers connect: a root-only socket, loopback with tokens, loopback for metrics.

mod background;

use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Extension;
use axum::middleware::from_fn_with_state;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::auth::Peer;
use super::guard::{self, Names};
use super::tls::Tls;
use super::{Api, Config, Operator, metrics_router, router};
use crate::clock;
use crate::lifecycle::handover::{Sockets, take_tcp};
use background::Background;

/// Connections at once, of each listener; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 2048;
/// A request's head must have arrived after this long.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// After a failed accept, such as for want of file descriptors, the next waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What is being answered when the daemon stops has this long to arrive.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("the admin API cannot listen on {place} ({key})")]
pub struct BindError {
    place: String,
    key: &'static str,
    source: io::Error,
}

/// Bound, not yet serving.
#[derive(Debug)]
pub struct Listeners {
    admin: TcpListener,
    socket: RootOnly,
    metrics: TcpListener,
    tls: Option<Arc<Tls>>,
    names: Names,
    metrics_names: Names,
    background: Option<Handle>,
}

impl Listeners {
    /// Binds all three, or none.
    pub async fn bind(config: &Config) -> Result<Self, BindError> {
        Self::take_up(config, &mut Sockets::default(), Arc::new(AtomicBool::new(true))).await
    }

    /// [`Self::bind`], and what of it a predecessor has bound is taken out of `inherited`. The path of
    /// the admin socket is removed at the end only by its `owner`.
    pub async fn take_up(
        config: &Config,
        inherited: &mut Sockets,
        owner: Arc<AtomicBool>,
    ) -> Result<Self, BindError> {
        let failed = |place: String, key| move |source| BindError { place, key, source };
        let admin = bind_tcp(config.listen, &mut inherited.tcp).await;
        let admin = admin.map_err(failed(config.listen.to_string(), "api.listen"))?;
        let metrics = bind_tcp(config.metrics_listen, &mut inherited.tcp).await;
        let metrics = metrics.map_err(failed(config.metrics_listen.to_string(), "api.metrics_listen"))?;
        let socket = match inherited.take_unix(&config.socket) {
            Some(socket) => UnixListener::from_std(socket).map(|listener| (listener, config.socket.clone())),
            None => bind_socket(&config.socket),
        };
        let socket = socket.map(|(listener, path)| RootOnly { listener, path, owner });
        let socket = socket.map_err(failed(config.socket.display().to_string(), "api.socket"))?;
        let tls = config.tls.as_ref().map(Tls::new).transpose();
        let tls = tls.map_err(failed(config.listen.to_string(), "api.tls"))?.map(Arc::new);
        let (names, metrics_names) = (Names::new(config), Names::of_metrics(config));
        Ok(Self { admin, socket, metrics, tls, names, metrics_names, background: None })
    }

    /// What has no end is answered by these threads, and by those that serve where this is not said.
    #[must_use]
    pub fn in_background(self, threads: Handle) -> Self {
        Self { background: Some(threads), ..self }
    }

    /// The sockets they listen on, once more, for a successor.
    pub fn sockets(&self) -> io::Result<Sockets> {
        let again = |socket: BorrowedFd<'_>| socket.try_clone_to_owned();
        let tcp = [again(self.admin.as_fd())?, again(self.metrics.as_fd())?].map(Into::into);
        Ok(Sockets { tcp: tcp.into(), unix: vec![again(self.socket.listener.as_fd())?.into()] })
    }

    /// Serves until `stop`; what is being answered then is to be waited for.
    pub async fn serve(self, api: Api, stop: CancellationToken) -> Conversations {
        let mut api = api;
        api.own.is_encrypted = self.tls.is_some();
        let guarded = from_fn_with_state(self.names, guard::check);
        let background = self.background;
        let entrance = |router, tls| Entrance { router, tls, background: background.clone() };
        let by_token = entrance(router(api.clone()).layer(guarded), self.tls);
        let by_socket = entrance(router(api.clone()).layer(Extension(Operator::root())), None);
        let guarded = from_fn_with_state(self.metrics_names, guard::check);
        let metrics = entrance(metrics_router(api.registry.clone()).layer(guarded), None);
        let (going_on, ended) = mpsc::channel(1);
        let live = api.own.live.clone();
        let herald = live.clone().herald();
        match &background {
            Some(threads) => threads.spawn(herald),
            None => tokio::spawn(herald),
        };
        let following = async {
            if let Some(happenings) = api.control.follow() {
                let alerts = api.monitoring.alerts.changes();
                let _stopped = stop.run_until_cancelled(live.clone().follow(happenings, alerts)).await;
            }
            stop.cancelled().await;
            live.close();
        };
        tokio::join!(
            serve(self.admin, by_token, &stop, going_on.clone()),
            serve(self.socket, by_socket, &stop, going_on.clone()),
            serve(self.metrics, metrics, &stop, going_on),
            following,
        );
        Conversations(ended)
    }
}

/// What is still being answered after the listeners have ended.
#[derive(Debug)]
pub struct Conversations(mpsc::Receiver<Infallible>);

impl Conversations {
    /// Waits for their end, for a while.
    pub async fn end(mut self) {
        let all = async { while self.0.recv().await.is_some() {} };
        // Who reads that slowly is left behind.
        let _slow = tokio::time::timeout(ANSWERED_WITHIN, all).await;
    }
}

async fn bind_tcp(
    address: SocketAddr,
    inherited: &mut Vec<std::net::TcpListener>,
) -> io::Result<TcpListener> {
    match take_tcp(inherited, address) {
        Some(socket) => TcpListener::from_std(socket),
        None => TcpListener::bind(address).await,
    }
}

/// The socket, for root only; what a dead daemon has left in its place is removed.
fn bind_socket(path: &Path) -> io::Result<(UnixListener, PathBuf)> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            // Only of a dead daemon's socket does the kernel say that nobody listens.
            match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => {
                    return Err(io::Error::new(io::ErrorKind::AddrInUse, "another skyshield answers there"));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
                Err(error) => return Err(error),
            }
        }
        Ok(_) => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok((listener, path.to_owned()))
}

/// The connection that a request came by.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// Since when it stands.
    pub(super) since: Instant,
    /// Where it goes on once what is answered has no end.
    pub(super) background: Background,
}

/// Where connections come from.
trait Accept {
    fn accept(&self) -> impl Future<Output = io::Result<Arrived>> + Send;
}

/// Somebody who has connected.
enum Arrived {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

/// Where they are let in.
#[derive(Clone)]
struct Entrance {
    router: Router,
    tls: Option<Arc<Tls>>,
    background: Option<Handle>,
}

impl Accept for TcpListener {
    async fn accept(&self) -> io::Result<Arrived> {
        self.accept().await.map(|(stream, peer)| Arrived::Tcp(stream, peer.ip()))
    }
}

/// Only connections of root's or of the daemon's own user. The file's mode says so already; the
/// kernel's word on the peer closes the moment between bind and chmod.
#[derive(Debug)]
struct RootOnly {
    listener: UnixListener,
    path: PathBuf,
    owner: Arc<AtomicBool>,
}

impl Drop for RootOnly {
    fn drop(&mut self) {
        if !self.owner.load(Ordering::Relaxed) {
            return;
        }
        // While it is bound nobody else takes its place. Where it cannot be removed, the next daemon does it.
        let _left_behind = fs::remove_file(&self.path);
    }
}

impl Accept for RootOnly {
    async fn accept(&self) -> io::Result<Arrived> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let uid = stream.peer_cred()?.uid();
            if uid == 0 || uid == nix::unistd::geteuid().as_raw() {
                return Ok(Arrived::Unix(stream));
            }
            tracing::warn!(uid, "a user who may not was turned away from the admin socket");
        }
    }
}

async fn serve(
    listener: impl Accept,
    entrance: Entrance,
    stop: &CancellationToken,
    going_on: mpsc::Sender<Infallible>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            listener.accept().await.map(|stream| (stream, place))
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = next => accepted,
        };
        match accepted {
            Ok((arrived, place)) => {
                let (mut entrance, stop, going_on) = (entrance.clone(), stop.clone(), going_on.clone());
                let connection = Connection { since: clock::now(), background: Background::default() };
                let background = connection.background.clone();
                entrance.router = entrance.router.layer(Extension(connection));
                tokio::spawn(async move {
                    let threads = entrance.background.take();
                    background.have(receive(arrived, entrance, stop), threads.as_ref()).await;
                    drop((place, going_on));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin API could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Lets somebody in: encrypted where that is asked for, with what the network says of them.
async fn receive(arrived: Arrived, Entrance { router, tls, .. }: Entrance, stop: CancellationToken) {
    match (arrived, tls) {
        (Arrived::Unix(stream), _) => converse(stream, router, stop).await,
        (Arrived::Tcp(stream, peer), None) => {
            converse(stream, router.layer(Extension(Peer(peer))), stop).await;
        }
        (Arrived::Tcp(stream, peer), Some(tls)) => match tls.accept(stream).await {
            Ok((stream, operator)) => {
                let router = router.layer(Extension(Peer(peer)));
                match operator {
                    Some(operator) => converse(stream, router.layer(Extension(operator)), stop).await,
                    None => converse(stream, router, stop).await,
                }
            }
            Err(error) => tracing::debug!(%error, %peer, "a handshake with the admin API failed"),
        },
    }
}

async fn converse<S>(stream: S, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an admin connection ended badly");
    }
}

#[cfg(test)]
mod tests;
