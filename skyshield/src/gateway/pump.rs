//! From the client to the upstream: a request's head, what is held of its body, and the rest as it comes.

use std::io::Write;

use tokio::io::{AsyncRead, AsyncWrite};

use super::account::Account;
use super::body::{Pace, read_more};
use super::buffer::Buffer;
use super::deadline::Deadline;
use super::forward::Body;
use super::guard::Cause;
use super::relay::LARGE_READ;
use super::write::write_all;
use crate::clock;

/// Why a body did not reach the upstream whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unsent {
    Client(Cause),
    Upstream,
}

/// Sends the request's head, what is held of its body and then the rest as it comes.
#[expect(
    clippy::too_many_arguments,
    reason = "two streams, two buffers and how to get from one to the other"
)]
pub(super) async fn pump<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    account: &Account<'_>,
    client: &mut R,
    input: &mut Buffer,
    upstream: &mut W,
    request: &mut Vec<u8>,
    (head_len, mut body): (usize, Body),
    chunked: bool,
    deadline: &mut Deadline,
) -> Result<(), Unsent> {
    let shared = account.shared;
    let stall = shared.limits.upstream_head();
    input.consume(head_len);
    let mut pace = Pace::new(&shared.limits, clock::now(), body.until);
    let mut data = body.held;
    loop {
        let ended = body.rest.is_done();
        let tail: &[u8] = match (chunked, data, ended) {
            (false, _, _) | (true, 0, false) => b"",
            (true, 0, true) => b"0\r\n\r\n",
            (true, _, true) => b"\r\n0\r\n\r\n",
            (true, _, false) => b"\r\n",
        };
        if chunked && data > 0 {
            let _infallible = write!(request, "{data:x}\r\n");
        }
        let bytes = input.filled().get(..data).unwrap_or_default();
        write_all(upstream, [request, bytes, tail], deadline, stall).await.map_err(|_| Unsent::Upstream)?;
        request.clear();
        input.consume(data);
        if ended {
            return Ok(());
        }
        if input.is_empty() {
            input.reserve(LARGE_READ);
        }
        let count = read_more(client, input, usize::MAX, &mut body.rest, &mut pace, deadline)
            .await
            .map_err(Unsent::Client)?;
        account.came(count as u64);
        data = body.rest.take(input, 0).map_err(Unsent::Client)?;
    }
}
