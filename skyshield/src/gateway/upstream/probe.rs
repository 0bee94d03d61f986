//! One check of an upstream: a GET, and whether its answer is a good one.

use tokio::io::AsyncWriteExt;

use super::pool::Connection;
use crate::gateway::head::{Scan, scan};

/// The head of an answer to a check, in bytes at the most.
const MAX_HEAD: usize = 16 * 1024;

/// The bytes of a check.
pub(super) fn request(path: &str, host: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: SkyShield-Check\r\nAccept: */*\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// Whether `connection` answers `request` with a status from 200 to 399.
pub(super) async fn is_good(mut connection: Connection, request: &[u8]) -> bool {
    if connection.stream.write_all(request).await.is_err() {
        return false;
    }
    let Connection { stream, buffer, .. } = &mut connection;
    loop {
        match scan(buffer.filled(), 0) {
            Err(_) => return false,
            Ok(Scan::Complete(len)) => {
                let mut room = [httparse::EMPTY_HEADER; 100];
                let mut response = httparse::Response::new(&mut room);
                let parsed = response.parse(buffer.filled().get(..len).unwrap_or_default());
                return parsed.is_ok() && response.code.is_some_and(|code| (200..400).contains(&code));
            }
            Ok(Scan::Partial) if buffer.len() >= MAX_HEAD => return false,
            Ok(Scan::Partial) => {
                buffer.reserve(1);
                if !matches!(buffer.fill(stream).await, Ok(1..)) {
                    return false;
                }
            }
        }
    }
}
