//! Listeners: bound before anything else, accepting within limits.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use prometheus::IntGauge;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::BindError;
use super::connection::{self, Peer};
use super::live::{Live, Shared};
use crate::clock;

/// Connections the kernel completes ahead of us.
const BACKLOG: i32 = 4096;
/// A rest for who has no file descriptor left: some connection may end meanwhile.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// Binds every address, or says which one cannot be had.
///
/// `[::]` is left out on a host without IPv6, if there is another address.
/// What listens there already, of `inherited`, is taken from it.
pub(super) fn bind(
    addresses: &[SocketAddr],
    inherited: &mut Vec<TcpListener>,
) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut left_out = None;
    for &address in addresses {
        let there =
            inherited.iter().position(|socket| socket.local_addr().is_ok_and(|bound| bound == address));
        if let Some(at) = there {
            listeners.push(inherited.swap_remove(at));
            continue;
        }
        match bind_one(address) {
            Ok(listener) => listeners.push(listener),
            Err(source) => {
                let no_v6 = [Errno::EAFNOSUPPORT as i32, Errno::EADDRNOTAVAIL as i32];
                let code = source.raw_os_error().unwrap_or_default();
                if address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) || !no_v6.contains(&code) {
                    return Err(BindError { address, source });
                }
                left_out = Some(BindError { address, source });
            }
        }
    }
    match left_out {
        Some(error) if listeners.is_empty() => return Err(error),
        Some(error) => tracing::warn!(address = %error.address, "left out: this host has no IPv6"),
        None => {}
    }
    Ok(listeners)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Who has how many connections open.
#[derive(Debug, Default)]
pub(super) struct Census(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
    streams_by_source: HashMap<IpAddr, usize>,
}

/// Takes one more for `source`, of `most`.
fn take_one(counts: &mut HashMap<IpAddr, usize>, source: IpAddr, most: usize) -> bool {
    let count = counts.entry(source).or_default();
    let free = *count < most;
    *count += usize::from(free);
    free
}

/// Gives one back.
fn give_back(counts: &mut HashMap<IpAddr, usize>, source: IpAddr) {
    if let Some(count) = counts.get_mut(&source) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&source);
        }
    }
}

/// A connection's place in the census, given up when it is dropped.
#[derive(Debug)]
struct Place {
    live: Arc<Live>,
    gauge: IntGauge,
    source: Option<IpAddr>,
}

impl Place {
    /// A place for a connection from `peer`, if its limits leave one.
    fn taken(live: &Arc<Live>, peer: IpAddr) -> Option<Self> {
        let shared = live.load();
        let limits = &shared.limits;
        let source = (!shared.trusted.contain(peer)).then(|| of_one_hand(peer));
        let mut counts = live.census.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= limits.connections {
            shared.metrics.refused_total.inc();
            return None;
        }
        let most = limits.connections_per_source;
        if source.is_some_and(|source| !take_one(&mut counts.by_source, source, most)) {
            shared.metrics.refused_per_source.inc();
            return None;
        }
        counts.total += 1;
        drop(counts);
        let gauge = shared.metrics.connections.clone();
        gauge.inc();
        Some(Self { live: Arc::clone(live), gauge, source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.live.census.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(source) = self.source {
            give_back(&mut counts.by_source, source);
        }
        drop(counts);
        self.gauge.dec();
    }
}

/// A stream's place in the census, given up when it is dropped.
#[derive(Debug)]
pub(super) struct StreamPlace {
    live: Arc<Live>,
    source: Option<IpAddr>,
}

impl StreamPlace {
    /// A place for one more stream of `peer`, if its limit leaves one.
    pub(super) fn taken(live: &Arc<Live>, shared: &Shared, peer: &Peer) -> Option<Self> {
        let source = (!peer.trusted).then(|| of_one_hand(peer.address));
        if let Some(source) = source {
            let mut counts = live.census.0.lock().unwrap_or_else(PoisonError::into_inner);
            let most = shared.http2.streams_per_source;
            if !take_one(&mut counts.streams_by_source, source, most) {
                return None;
            }
        }
        Some(Self { live: Arc::clone(live), source })
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        if let Some(source) = self.source {
            let mut counts = self.live.census.0.lock().unwrap_or_else(PoisonError::into_inner);
            give_back(&mut counts.streams_by_source, source);
        }
    }
}

/// The address that stands for all that one customer of a network usually holds: of IPv6, the /64.
fn of_one_hand(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

/// Accepts and serves, by TLS if there is any, until `stop`; then lets what is in progress end within the drain time.
pub(super) async fn accept(
    listener: TcpListener,
    is_secure: bool,
    live: Arc<Live>,
    stop: CancellationToken,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
        };
        match accepted {
            Ok((stream, peer)) => {
                let peer = peer.ip().to_canonical();
                let Some(place) = Place::taken(&live, peer) else { continue };
                // Without it, small writes wait for acknowledgements; with it refused, they still arrive.
                let _slower = stream.set_nodelay(true);
                let (live, stop) = (Arc::clone(&live), stop.child_token());
                connections.spawn(async move {
                    connection::serve(&live, stream, peer, is_secure, &stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                live.load().metrics.accept_errors.inc();
                let exhausted = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
                if exhausted.iter().any(|&code| error.raw_os_error() == Some(code as i32)) {
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
            }
        }
    }
    drop(listener);
    let drain_secs = live.load().limits.drain_secs;
    drain(connections, drain_secs).await;
    Ok(())
}

/// One connection's fault is not the others': it is told, and they go on.
pub(super) fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task died");
    }
}

async fn drain(mut connections: JoinSet<()>, secs: u64) {
    let by = tokio::time::Instant::from_std(clock::now() + Duration::from_secs(secs));
    let all = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout_at(by, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "the drain time is over: cutting what is left");
        connections.shutdown().await;
    }
}
