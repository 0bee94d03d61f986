//! Where proxies connect: bound before anything else, for those alone who may ask.

use std::fs;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::unistd::Group;
use prometheus::IntGauge;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::config::{Place, contain};
use super::connection;
use super::live::{Live, OpenDoor};
use crate::clock;

/// Connections the kernel completes ahead of us.
const BACKLOG: i32 = 1024;
/// After a failed accept, such as for want of file descriptors, the next waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A proxy that is gone without a word is found out by the kernel after this long in silence.
const SILENCE: Duration = Duration::from_mins(1);
/// What is being answered when the daemon stops has this long.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, Left),
}

/// A path that is left behind by nobody but its owner.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) path: PathBuf,
    pub(super) owner: Arc<AtomicBool>,
}

impl Drop for Left {
    fn drop(&mut self) {
        if self.owner.load(Ordering::Relaxed) {
            // Where it cannot be removed, the next daemon does it.
            let _left_behind = fs::remove_file(&self.path);
        }
    }
}

/// The sockets of a predecessor, and who removes paths at the end.
#[derive(Debug)]
pub struct Inherited<'a> {
    /// Those with an address and a port.
    pub tcp: &'a mut Vec<TcpListener>,
    /// Those with a path.
    pub unix: &'a mut Vec<UnixListener>,
    /// Whether paths are ours to remove.
    pub owner: &'a Arc<AtomicBool>,
}

impl Bound {
    /// Listens at `place`; what listens there already, of `inherited`, is taken from it.
    pub(super) fn at(place: &Place, group: Option<&str>, inherited: &mut Inherited<'_>) -> io::Result<Self> {
        match place {
            Place::Address(address) => {
                let is_there =
                    |socket: &TcpListener| socket.local_addr().is_ok_and(|bound| bound == *address);
                if let Some(at) = inherited.tcp.iter().position(is_there) {
                    return Ok(Self::Tcp(inherited.tcp.swap_remove(at)));
                }
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
                socket.set_reuse_address(true)?;
                socket.set_nonblocking(true)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                Ok(Self::Tcp(socket.into()))
            }
            Place::Path(path) => {
                let left = Left { path: path.clone(), owner: Arc::clone(inherited.owner) };
                let is_there = |socket: &UnixListener| {
                    socket.local_addr().is_ok_and(|bound| bound.as_pathname() == Some(path))
                };
                if let Some(at) = inherited.unix.iter().position(is_there) {
                    return Ok(Self::Unix(inherited.unix.swap_remove(at), left));
                }
                make_way(path)?;
                let listener = UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                open_to(path, group)?;
                Ok(Self::Unix(listener, left))
            }
        }
    }
}

/// Removes what a dead daemon has left at `path`, and makes the directory.
pub(super) fn make_way(path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match UnixStream::connect(path) {
            Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there")),
            // Only of a dead daemon's socket does the kernel say that nobody listens; one for datagrams is
            // of another type, and nobody can tell.
            Err(_) => fs::remove_file(path),
        },
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lets `group` write to the socket at `path`, beside root; without one, root alone.
pub(super) fn open_to(path: &Path, group: Option<&str>) -> io::Result<()> {
    let Some(name) = group else { return fs::set_permissions(path, fs::Permissions::from_mode(0o600)) };
    let found = Group::from_name(name)?;
    let found = found.ok_or_else(|| io::Error::other(format!("there is no group `{name}` on this host")))?;
    chown(path, None, Some(found.gid.as_raw()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))
}

/// Where connections come from.
pub(super) trait Accept: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and whose it is, where it came by the network.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
}

impl Accept for tokio::net::TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, peer) = self.accept().await?;
        // Without it, small writes wait for acknowledgements; with it refused, they still arrive.
        let _slower = stream.set_nodelay(true);
        let alive = TcpKeepalive::new().with_time(SILENCE).with_interval(SILENCE / 4);
        let _kept = SockRef::from(&stream).set_tcp_keepalive(&alive);
        Ok((stream, Some(peer.ip().to_canonical())))
    }
}

impl Accept for tokio::net::UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<(tokio::net::UnixStream, Option<IpAddr>)> {
        self.accept().await.map(|(stream, _)| (stream, None))
    }
}

/// Accepts at the door number `at` and answers, until `stop`; then lets what is being answered end.
pub(super) async fn accept(
    bound: Bound,
    at: usize,
    live: Arc<Live>,
    stop: CancellationToken,
) -> io::Result<()> {
    match bound {
        Bound::Tcp(listener) => {
            accept_by(tokio::net::TcpListener::from_std(listener)?, at, live, stop).await;
        }
        Bound::Unix(listener, left) => {
            accept_by(tokio::net::UnixListener::from_std(listener)?, at, live, stop).await;
            drop(left);
        }
    }
    Ok(())
}

/// A connection in the gauge, until it is dropped.
struct Counted(IntGauge);

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn accept_by(listener: impl Accept, at: usize, live: Arc<Live>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(live.connections));
    let mut connections = JoinSet::new();
    let Some(OpenDoor { door, metrics, seldom }) = live.doors.get(at) else { return };
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?, place))
        };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = next => accepted,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
        };
        let Ok(((stream, peer), place)) = accepted else {
            metrics.accept_errors.inc();
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if let Some(peer) = peer.filter(|&peer| !contain(&door.trusted_callers, peer)) {
            metrics.untrusted.inc();
            if seldom.is_due(clock::now()) {
                tracing::warn!(door = door.name(), %peer, "not one of `trusted_callers`: turned away");
            }
            continue;
        }
        let (live, stop, counted) =
            (Arc::clone(&live), stop.child_token(), Counted::new(&metrics.connections));
        connections.spawn(async move {
            connection::serve(&live, at, stream, &stop).await;
            drop((counted, place));
        });
    }
    let all = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(ANSWERED_WITHIN, all).await.is_err() {
        connections.shutdown().await;
    }
}

/// One connection's fault is not the others': it is told, and they go on.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task died");
    }
}
