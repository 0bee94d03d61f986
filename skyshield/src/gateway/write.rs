//! Writing all of several pieces in as few system calls as there can be.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::time::Duration;

use tokio::io::AsyncWrite;

use super::deadline::Deadline;
use crate::clock;

/// Writes `pieces` one after the other. A peer that takes no byte for `stall` is an error of kind
/// `TimedOut`.
pub(super) async fn write_all<W: AsyncWrite + Unpin>(
    writer: &mut W,
    mut pieces: [&[u8]; 3],
    deadline: &mut Deadline,
    stall: Duration,
) -> io::Result<()> {
    loop {
        let waiting = pieces.iter().filter(|piece| !piece.is_empty()).count();
        if waiting == 0 {
            // A socket has nothing to flush; TLS may still hold the end of it.
            let flush = poll_fn(|cx| Pin::new(&mut *writer).poll_flush(cx));
            return deadline.within(clock::now() + stall, flush).await.ok_or(io::ErrorKind::TimedOut)?;
        }
        let single = pieces.iter().find(|piece| !piece.is_empty()).filter(|_| waiting == 1);
        let write = poll_fn(|cx| match single {
            Some(piece) => Pin::new(&mut *writer).poll_write(cx, piece),
            None => Pin::new(&mut *writer).poll_write_vectored(cx, &pieces.map(IoSlice::new)),
        });
        let written = deadline.within(clock::now() + stall, write).await;
        let mut written = written.ok_or(io::ErrorKind::TimedOut)??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        for piece in &mut pieces {
            let count = written.min(piece.len());
            *piece = piece.get(count..).unwrap_or_default();
            written -= count;
        }
    }
}
