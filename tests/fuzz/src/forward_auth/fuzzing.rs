//! What is asked of each reader, whatever it is given.

use std::mem::MaybeUninit;

use super::wire::{Dechunk, MAX_FIELDS, head_len, parse};

/// A question's head, and its body in chunks: the pieces that it comes in change nothing.
pub fn question(bytes: &[u8]) {
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    if let Ok(head) = parse(bytes, &mut room) {
        assert!(!head.method.is_empty() && !head.target.is_empty());
    }
    if let Ok(Some(len)) = head_len(bytes, 0) {
        assert!(bytes[..len].ends_with(b"\r\n\r\n"));
    }
    let step = usize::from(bytes.first().copied().unwrap_or(1)).max(1);
    let (whole, pieces) = (dechunked(bytes, bytes.len().max(1)), dechunked(bytes, step));
    assert_eq!(whole.is_some(), pieces.is_some());
    if let Some(((data, is_done), (again, is_done_again))) = whole.zip(pieces) {
        assert_eq!((&data, is_done), (&again, is_done_again));
        assert!(data.len() <= bytes.len());
    }
}

/// The data in `coded`, handed over in pieces, and whether its end has come.
fn dechunked(coded: &[u8], step: usize) -> Option<(Vec<u8>, bool)> {
    let (mut dechunk, mut bytes, mut used, mut end) = (Dechunk::default(), Vec::new(), 0, 0);
    for piece in coded.chunks(step) {
        bytes.extend_from_slice(piece);
        (end, used) = dechunk.take(&mut bytes, used, end).ok()?;
        assert!(end <= used && used <= bytes.len());
    }
    bytes.truncate(end);
    Some((bytes, dechunk.is_done()))
}

/// A line of an access log, in each format.
pub fn log_line(bytes: &[u8]) {
    super::outcomes::log_line(bytes);
}
