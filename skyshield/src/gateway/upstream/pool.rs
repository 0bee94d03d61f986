//! Connections kept for the next request: bounded, and looked at before they are used.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::gateway::buffer::Buffer;

/// What an upstream connection reads into, in bytes; grown while a large body flows.
const READ_BYTES: usize = 16 * 1024;

/// A connection to an upstream.
#[derive(Debug)]
pub(in crate::gateway) struct Connection {
    pub(in crate::gateway) stream: TcpStream,
    pub(in crate::gateway) buffer: Buffer,
    /// Whether it served a request before: then the upstream may have closed it meanwhile.
    pub(in crate::gateway) reused: bool,
    /// Whether its last response had no body where its head spoke of one: then one may yet come.
    pub(in crate::gateway) doubtful: bool,
    /// Which of the upstream's pools it belongs to: the one before a move is gone.
    era: u64,
}

impl Connection {
    pub(super) fn over(stream: TcpStream, era: u64) -> Self {
        // Without it, small writes wait for acknowledgements; with it refused, they still arrive.
        let _slower = stream.set_nodelay(true);
        Self { stream, buffer: Buffer::with_capacity(READ_BYTES), reused: false, doubtful: false, era }
    }
}

/// The idle connections to one upstream, the one used last at the back.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<VecDeque<(Connection, Instant)>>,
    most: usize,
    keep: Duration,
    era: AtomicU64,
}

impl Pool {
    /// A pool of `most` connections, each kept as long as `keep`.
    pub(super) fn new(most: usize, keep: Duration) -> Self {
        Self { idle: Mutex::default(), most, keep, era: AtomicU64::new(0) }
    }

    /// What new connections are marked with.
    pub(super) fn era(&self) -> u64 {
        self.era.load(Ordering::Relaxed)
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that nothing speaks against, the one used last first.
    ///
    /// What the runtime has heard of its end costs nothing to know; who is `careful`, because the
    /// request cannot be sent again, asks the kernel too.
    pub(super) fn take(&self, now: Instant, careful: bool) -> Option<Connection> {
        loop {
            let (connection, since) = self.idle().pop_back()?;
            // Anything to read on an idle connection is its end, or bytes nobody asked for.
            let quiet = has_nothing_to_say(connection.stream.try_read(&mut [0]));
            let asked = careful || connection.doubtful;
            let quiet = quiet && (!asked || has_nothing_to_say(peek(&connection.stream)));
            if quiet && now.saturating_duration_since(since) < self.keep {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose last response ended where it should, where there is room.
    pub(super) fn put(&self, mut connection: Connection, now: Instant) {
        connection.reused = true;
        connection.buffer.shrink();
        let mut idle = self.idle();
        if idle.len() < self.most && connection.era == self.era() {
            idle.push_back((connection, now));
        }
    }

    /// Closes what was idle for too long at `now`.
    pub(super) fn sweep(&self, now: Instant) {
        let mut idle = self.idle();
        let kept_from = idle.partition_point(|(_, since)| now.saturating_duration_since(*since) >= self.keep);
        let closed: Vec<_> = idle.drain(..kept_from).collect();
        // Closing is the kernel's work, and nobody waits for it.
        drop(idle);
        drop(closed);
    }

    /// Closes all, and those in use when they come back: what they lead to is not to be asked again.
    pub(super) fn clear(&self) {
        let mut idle = self.idle();
        self.era.fetch_add(1, Ordering::Relaxed);
        let all = std::mem::take(&mut *idle);
        drop(idle);
        drop(all);
    }
}

fn peek(stream: &TcpStream) -> io::Result<usize> {
    socket2::SockRef::from(stream).peek(&mut [MaybeUninit::uninit()])
}

fn has_nothing_to_say(read: io::Result<usize>) -> bool {
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
