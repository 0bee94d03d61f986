//! From the upstream to the client: a response's head, then its body as it comes.

use std::io::{self, Write};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::account::Account;
use super::body::Rest;
use super::buffer::Buffer;
use super::deadline::Deadline;
use super::framing::Framing;
use super::head::{Scan, scan};
use super::response_head::{Asked, BodyEnd, Response, translate};
use super::upstream::Failure;
use super::write::write_all;
use crate::clock;

/// Up to here, copying a body next to its head is cheaper than having the kernel gather them.
pub(super) const COPIED: usize = 8 * 1024;
/// Room for one read of a large body, in bytes.
pub(super) const LARGE_READ: usize = 64 * 1024;
/// Interim responses before the final one at the most.
const MAX_INTERIM: u32 = 8;

/// Reads up to the head of the final response and puts the client's into `reply`.
pub(super) async fn receive_head<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut Buffer,
    max_bytes: usize,
    asked: Asked<'_>,
    reply: &mut Vec<u8>,
    deadline: &mut Deadline,
    until: Instant,
) -> Result<Response, Failure> {
    let mut interim = 0;
    let mut scanned = 0;
    loop {
        match scan(buffer.filled(), scanned).map_err(|_| Failure::Malformed)? {
            Scan::Complete(len) => {
                reply.clear();
                let response = translate(buffer.filled().get(..len).unwrap_or_default(), asked, reply)?;
                buffer.consume(len);
                if response != Response::Interim {
                    return Ok(response);
                }
                interim += 1;
                scanned = 0;
                if interim > MAX_INTERIM {
                    return Err(Failure::Malformed);
                }
            }
            Scan::Partial => {
                scanned = buffer.len();
                if scanned >= max_bytes {
                    return Err(Failure::Malformed);
                }
                buffer.reserve(1);
                match deadline.within(until, buffer.fill(reader)).await {
                    None => return Err(Failure::Late),
                    Some(Ok(0) | Err(_)) => return Err(Failure::Cut),
                    Some(Ok(_)) => {}
                }
            }
        }
    }
}

/// Sends what is in `reply` and then the body, each read at once as it comes.
///
/// Where it breaks, whose fault it was: the upstream's, or, with nothing, the client's.
pub(super) async fn relay<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    account: &Account<'_>,
    reader: &mut R,
    buffer: &mut Buffer,
    client: &mut W,
    reply: &mut Vec<u8>,
    (body, rechunk): (BodyEnd, bool),
    deadline: &mut Deadline,
) -> Result<(), Option<Failure>> {
    let mut rest = match body {
        BodyEnd::Length(length) => Some(Rest::of(Framing::Length(length))),
        BodyEnd::Chunked => Some(Rest::of(Framing::Chunked)),
        BodyEnd::Close => None,
    };
    let mut ended = false;
    loop {
        let data = match &mut rest {
            Some(rest) => rest.take(buffer, 0).map_err(|_| Some(Failure::Malformed))?,
            None => buffer.len(),
        };
        ended = ended || rest.is_some_and(|rest| rest.is_done());
        send_piece(account, client, buffer, reply, data, (rechunk, ended), deadline)
            .await
            .map_err(|_| None)?;
        if ended {
            return Ok(());
        }
        let until = clock::now() + account.shared.limits.upstream_body_idle();
        let room = buffer.capacity();
        match deadline.within(until, buffer.fill(reader)).await {
            None => return Err(Some(Failure::Stalled)),
            Some(Ok(0)) if rest.is_none() => ended = true,
            Some(Ok(0) | Err(_)) => return Err(Some(Failure::Cut)),
            Some(Ok(count)) if count == room => buffer.reserve(LARGE_READ),
            Some(Ok(_)) => {}
        }
    }
}

async fn send_piece<W: AsyncWrite + Unpin>(
    account: &Account<'_>,
    client: &mut W,
    buffer: &mut Buffer,
    reply: &mut Vec<u8>,
    data: usize,
    (rechunk, ended): (bool, bool),
    deadline: &mut Deadline,
) -> io::Result<()> {
    let tail: &[u8] = match (rechunk, data, ended) {
        (false, _, _) | (true, 0, false) => b"",
        (true, 0, true) => b"0\r\n\r\n",
        (true, _, true) => b"\r\n0\r\n\r\n",
        (true, _, false) => b"\r\n",
    };
    if rechunk && data > 0 {
        // Writing to memory does not fail.
        let _infallible = write!(reply, "{data:x}\r\n");
    }
    let bytes = buffer.filled().get(..data).unwrap_or_default();
    account.goes((reply.len() + data + tail.len()) as u64);
    let stall = account.shared.limits.write_stall();
    if data <= COPIED {
        reply.extend_from_slice(bytes);
        reply.extend_from_slice(tail);
        write_all(client, [reply, b"", b""], deadline, stall).await?;
    } else {
        write_all(client, [reply, bytes, tail], deadline, stall).await?;
    }
    reply.clear();
    buffer.consume(data);
    Ok(())
}
