//! Whether a client that waits for its answer is still there.

use std::future::{pending, poll_fn};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::buffer::Buffer;

/// Who has said all there is to say may still listen, for this long.
const LISTENING: Duration = Duration::from_secs(1);

/// Resolves when nobody is left to take an answer: the connection is reset, or the client has ended
/// its side and got nothing for a while.
///
/// Costs no system call for a client that is silent. Of one that sends its next request already,
/// nothing can be told, and it is taken to be there.
pub(super) async fn gone(stream: &TcpStream) {
    let mut byte = [0];
    let peeked = poll_fn(|cx| stream.poll_peek(cx, &mut ReadBuf::new(&mut byte))).await;
    match peeked {
        Ok(0) => tokio::time::sleep(LISTENING).await,
        Ok(_) => pending().await,
        Err(_) => {}
    }
}

/// The same of a stream that cannot be looked into without being read: what comes is kept in `ahead`,
/// as far as there is room.
pub(super) async fn gone_within<R: AsyncRead + Unpin>(stream: &mut R, ahead: &mut Buffer) {
    loop {
        if ahead.is_full() {
            return pending().await;
        }
        match ahead.fill(stream).await {
            Ok(0) => return tokio::time::sleep(LISTENING).await,
            Ok(_) => {}
            Err(_) => return,
        }
    }
}
