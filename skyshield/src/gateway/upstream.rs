//! The upstream: where it is, connections to it, and those kept for the next request.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::buffer::Buffer;
use super::config::{Authority, Config};
use super::deadline::Deadline;
use crate::clock;

/// What an upstream connection reads into, in bytes; grown while a large body flows.
const READ_BYTES: usize = 16 * 1024;
/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(5);
/// Sweeps from one resolution of the upstream's name to the next.
const SWEEPS_PER_LOOKUP: u32 = 6;

/// Why the upstream's answer could not be had; its discriminant indexes the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(usize)]
pub(super) enum Failure {
    #[error("the site cannot be reached")]
    Connect,
    #[error("the site took too long to answer")]
    Late,
    #[error("the site broke the connection")]
    Cut,
    #[error("the site's answer is malformed")]
    Malformed,
    #[error("the site stopped in the middle of its answer")]
    Stalled,
}

impl Failure {
    pub(super) const ALL: [Self; 5] = [Self::Connect, Self::Late, Self::Cut, Self::Malformed, Self::Stalled];

    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Connect | Self::Cut | Self::Malformed => 502,
            Self::Late | Self::Stalled => 504,
        }
    }

    /// The failure's name in metrics and logs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Late => "late",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::Stalled => "stalled",
        }
    }
}

/// A connection to the upstream.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) buffer: Buffer,
    /// Whether it served a request before: then the upstream may have closed it meanwhile.
    pub(super) reused: bool,
    /// Whether its last response had no body where its head spoke of one: then one may yet come.
    pub(super) doubtful: bool,
}

/// The one upstream.
#[derive(Debug)]
pub(super) struct Upstream {
    authority: Authority,
    /// The `Host` of a request that came without.
    pub(super) host: Vec<u8>,
    addresses: ArcSwap<Vec<SocketAddr>>,
    turn: AtomicUsize,
    idle: Mutex<VecDeque<(Connection, Instant)>>,
    max_idle: usize,
    idle_time: Duration,
    connect_time: Duration,
}

impl Upstream {
    pub(super) fn new(config: &Config) -> Self {
        let addresses = config.upstream_addresses().unwrap_or_else(|error| {
            tracing::warn!(upstream = %config.upstream, %error, "the upstream's name does not resolve yet");
            Vec::new()
        });
        Self {
            authority: config.upstream.clone(),
            host: config.upstream.to_string().into_bytes(),
            addresses: ArcSwap::from_pointee(addresses),
            turn: AtomicUsize::new(0),
            idle: Mutex::new(VecDeque::new()),
            max_idle: config.limits.upstream_idle_connections,
            idle_time: Duration::from_secs(config.limits.upstream_idle_secs),
            connect_time: Duration::from_secs(config.limits.upstream_connect_secs),
        }
    }

    /// A kept connection that nothing speaks against, the one used last first.
    ///
    /// What the runtime has heard of its end costs nothing to know; who is `careful`, because the
    /// request cannot be sent again, asks the kernel too.
    pub(super) fn kept(&self, now: Instant, careful: bool) -> Option<Connection> {
        loop {
            let (connection, since) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_back()?;
            // Anything to read on an idle connection is its end, or bytes nobody asked for.
            let quiet = has_nothing_to_say(connection.stream.try_read(&mut [0]));
            let asked = careful || connection.doubtful;
            let quiet = quiet && (!asked || has_nothing_to_say(peek(&connection.stream)));
            if quiet && now.saturating_duration_since(since) < self.idle_time {
                return Some(connection);
            }
        }
    }

    /// A new connection; the upstream's addresses take turns, and are all tried.
    pub(super) async fn connect(&self, deadline: &mut Deadline) -> Result<Connection, Failure> {
        let addresses = self.addresses.load_full();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let until = clock::now() + self.connect_time;
        for at in 0..addresses.len() {
            let Some(&address) = addresses.get((turn + at) % addresses.len()) else { break };
            match deadline.within(until, TcpStream::connect(address)).await {
                Some(Ok(stream)) => {
                    // Without it, small writes wait for acknowledgements; with it refused, they still arrive.
                    let _slower = stream.set_nodelay(true);
                    return Ok(Connection {
                        stream,
                        buffer: Buffer::with_capacity(READ_BYTES),
                        reused: false,
                        doubtful: false,
                    });
                }
                Some(Err(error)) => tracing::debug!(%address, %error, "the upstream cannot be reached"),
                None => {
                    tracing::debug!(%address, "the upstream took too long to accept a connection");
                    break;
                }
            }
        }
        Err(Failure::Connect)
    }

    /// Keeps a connection whose last response ended where it should.
    pub(super) fn keep(&self, mut connection: Connection, now: Instant) {
        connection.reused = true;
        connection.buffer.shrink();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.max_idle {
            idle.push_back((connection, now));
        }
    }

    /// Whether it is the upstream that `config` speaks of, with the same limits.
    pub(super) fn is_of(&self, config: &Config) -> bool {
        let limits = &config.limits;
        self.authority == config.upstream
            && self.max_idle == limits.upstream_idle_connections
            && self.idle_time.as_secs() == limits.upstream_idle_secs
            && self.connect_time.as_secs() == limits.upstream_connect_secs
    }

    /// Has what was idle for too long closed and the upstream's name resolved anew, until `stop`, or
    /// until nobody knows this upstream any more.
    pub(super) fn maintain(self: &Arc<Self>, stop: &CancellationToken) {
        let (upstream, stop) = (Arc::downgrade(self), stop.clone());
        tokio::spawn(async move {
            let mut sweeps = 0;
            while stop.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
                let Some(upstream) = upstream.upgrade() else { return };
                upstream.sweep(clock::now());
                sweeps += 1;
                if sweeps % SWEEPS_PER_LOOKUP == 0 || upstream.addresses.load().is_empty() {
                    upstream.look_up().await;
                }
            }
            if let Some(upstream) = upstream.upgrade() {
                upstream.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
        });
    }

    fn sweep(&self, now: Instant) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept_from =
            idle.partition_point(|(_, since)| now.saturating_duration_since(*since) >= self.idle_time);
        idle.drain(..kept_from);
    }

    async fn look_up(&self) {
        match tokio::net::lookup_host((self.authority.host.as_str(), self.authority.port)).await {
            Ok(found) => {
                let found: Vec<_> = found.collect();
                if !found.is_empty() && found != **self.addresses.load() {
                    self.addresses.store(found.into());
                }
            }
            // What was known is kept: a resolver that is down takes no site with it.
            Err(error) => {
                tracing::debug!(upstream = %self.authority, %error, "the upstream's name does not resolve");
            }
        }
    }
}

fn peek(stream: &TcpStream) -> io::Result<usize> {
    socket2::SockRef::from(stream).peek(&mut [MaybeUninit::uninit()])
}

fn has_nothing_to_say(read: io::Result<usize>) -> bool {
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
