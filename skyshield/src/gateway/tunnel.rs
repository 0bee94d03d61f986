//! After an upstream has switched to `WebSocket`: bytes both ways, looked at by nobody.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Shared;
use super::buffer::Buffer;
use super::deadline::Deadline;
use super::stream::ClientStream;
use super::write::write_all;
use crate::clock;

/// Bytes moved at a time.
const STEP: usize = 16 * 1024;

/// When something last moved, in either direction: who only listens is not idle.
#[derive(Debug)]
struct Pulse {
    start: Instant,
    millis: AtomicU64,
    idle: Duration,
}

impl Pulse {
    fn beat(&self) {
        let millis = clock::now().saturating_duration_since(self.start).as_millis();
        self.millis.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn ends_at(&self) -> Instant {
        self.start + Duration::from_millis(self.millis.load(Ordering::Relaxed)) + self.idle
    }
}

/// Carries bytes until both sides have ended, one breaks off, or nothing moved for too long. `early`
/// and `answered` are what either side sent already.
pub(super) async fn carry(
    shared: &Shared,
    (client, early): (&mut ClientStream, &mut Buffer),
    (upstream, answered): (&mut TcpStream, &mut Buffer),
) {
    let pulse =
        Pulse { start: clock::now(), millis: AtomicU64::new(0), idle: shared.limits.upstream_body_idle() };
    let (from_client, to_client) = tokio::io::split(client);
    let (from_upstream, to_upstream) = upstream.split();
    let stall = shared.limits.write_stall();
    let ended = tokio::try_join!(
        flow(from_client, to_upstream, early, &pulse, stall, |count| shared.metrics.bytes_in.inc_by(count)),
        flow(from_upstream, to_client, answered, &pulse, stall, |count| shared
            .metrics
            .bytes_out
            .inc_by(count)),
    );
    if let Err(error) = ended {
        tracing::debug!(%error, "a tunnel broke off");
    }
}

async fn flow<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    mut from: R,
    mut to: W,
    ahead: &mut Buffer,
    pulse: &Pulse,
    stall: Duration,
    count: impl Fn(u64),
) -> io::Result<()> {
    let (mut reading, mut writing) = (Deadline::default(), Deadline::default());
    count(ahead.len() as u64);
    write_all(&mut to, [ahead.filled(), b"", b""], &mut writing, stall).await?;
    ahead.consume(ahead.len());
    let mut bytes = vec![0; STEP];
    loop {
        let read = reading.within(pulse.ends_at(), from.read(&mut bytes)).await;
        let Some(read) = read else {
            if clock::now() < pulse.ends_at() {
                continue;
            }
            return Err(io::ErrorKind::TimedOut.into());
        };
        let read = read?;
        if read == 0 {
            return to.shutdown().await;
        }
        pulse.beat();
        count(read as u64);
        write_all(&mut to, [bytes.get(..read).unwrap_or_default(), b"", b""], &mut writing, stall).await?;
    }
}
