//! A connection's bytes on their way to the library and back, under the eyes of the meter.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::config::Config;
use super::meter::{Excess, Meter};
use super::metrics::Metrics;
use crate::clock;
use crate::gateway::buffer::Buffer;
use crate::gateway::stream::ClientStream;

/// Bytes of a connection that has ended which are still read: closing on unread bytes would take back
/// what was said last.
const GOODBYE_BYTES: usize = 256 * 1024;
/// The library has ended the connection.
const LEAVING: u8 = 0x80;

/// What the meter has found, for who serves the connection.
#[derive(Clone, Debug)]
pub(super) struct Watch(Arc<AtomicU8>);

impl Watch {
    pub(super) fn excess(&self) -> Option<Excess> {
        match self.0.load(Ordering::Relaxed) & !LEAVING {
            0 => None,
            code if code == Excess::Resets as u8 => Some(Excess::Resets),
            _ => Some(Excess::ControlFrames),
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.0.load(Ordering::Relaxed) & LEAVING != 0
    }
}

/// A client's stream, metered.
#[derive(Debug)]
pub(super) struct Metered {
    stream: ClientStream,
    /// What was read before it was known for HTTP/2.
    ahead: Buffer,
    meter: Meter,
    watch: Watch,
    /// Whether our side is shut.
    shut: bool,
    left: usize,
}

impl Metered {
    pub(super) fn new(
        stream: ClientStream,
        ahead: Buffer,
        config: &Config,
        metrics: Metrics,
    ) -> (Self, Watch) {
        let watch = Watch(Arc::default());
        let meter = Meter::new(config, metrics, clock::now());
        let metered = Self { stream, ahead, meter, watch: watch.clone(), shut: false, left: GOODBYE_BYTES };
        (metered, watch)
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.watch.excess().is_some() {
            // Whoever serves the connection ends it before this is polled for more.
            return Poll::Pending;
        }
        let before = room.filled().len();
        if this.ahead.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(cx, room))?;
        } else {
            let count = this.ahead.len().min(room.remaining());
            room.put_slice(this.ahead.filled().get(..count).unwrap_or_default());
            this.ahead.consume(count);
        }
        let new = room.filled().get(before..).unwrap_or_default();
        if let Some(excess) = this.meter.received(new, clock::now) {
            this.watch.0.fetch_or(excess as u8, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.meter.sent(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, pieces))?;
        let mut left = written;
        for piece in pieces {
            let count = left.min(piece.len());
            self.meter.sent(piece.get(..count).unwrap_or_default());
            left -= count;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ends our side, and then reads on for a while, so that the client receives what was said.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.watch.0.fetch_or(LEAVING, Ordering::Relaxed);
        if !this.shut {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.shut = true;
        }
        let mut scratch = [0; 4096];
        while this.left > 0 {
            let mut room = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut room)) {
                Ok(()) if !room.filled().is_empty() => {
                    this.left = this.left.saturating_sub(room.filled().len());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
