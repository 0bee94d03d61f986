//! What lies beneath TLS: a socket, and bytes that were read from it before it was known for TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::gateway::buffer::Buffer;

/// A TLS connection's stream.
pub(in crate::gateway) type TlsStream = tokio_rustls::server::TlsStream<Transport>;

/// A socket whose first bytes are given back.
#[derive(Debug)]
pub(in crate::gateway) struct Transport {
    pub(in crate::gateway) socket: TcpStream,
    ahead: Vec<u8>,
    /// What was read before anything was answered, up to a bound.
    heard: Vec<u8>,
    has_answered: bool,
}

/// A client's first message is no longer than this.
const MAX_HEARD: usize = 16 * 1024;

impl Transport {
    /// Takes what is in `ahead`: it is read before what the socket has.
    pub(super) fn new(socket: TcpStream, ahead: &mut Buffer) -> Self {
        let bytes = ahead.filled().to_vec();
        ahead.consume(bytes.len());
        Self { socket, ahead: bytes, heard: Vec::new(), has_answered: false }
    }

    /// The JA4 of the client's first message; what was kept of it is let go.
    pub(in crate::gateway) fn take_ja4(&mut self) -> Option<String> {
        self.has_answered = true;
        super::ja4::ja4(&std::mem::take(&mut self.heard))
    }

    fn hear(&mut self, bytes: &[u8]) {
        if !self.has_answered && self.heard.len() + bytes.len() <= MAX_HEARD {
            self.heard.extend_from_slice(bytes);
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            let before = room.filled().len();
            let read = Pin::new(&mut self.socket).poll_read(cx, room);
            self.hear(room.filled().get(before..).unwrap_or_default());
            return read;
        }
        let count = self.ahead.len().min(room.remaining());
        let before = room.filled().len();
        room.put_slice(self.ahead.get(..count).unwrap_or_default());
        self.hear(room.filled().get(before..).unwrap_or_default());
        self.ahead.drain(..count);
        if self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.has_answered = true;
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.has_answered = true;
        Pin::new(&mut self.socket).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
