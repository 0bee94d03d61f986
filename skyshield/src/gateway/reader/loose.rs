//! A head that the gateway would not have taken, as another server may have read it. What is found in
//! it is evidence; nothing is forwarded by it.

use memchr::{memchr, memchr_iter};

use crate::gateway::field::trim;
use crate::inspect::{Header, Request};

/// Where such a head ends, and how long the body behind it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loose {
    pub(super) len: usize,
    pub(super) body: usize,
}

/// Header lines that are looked at.
const MAX_LINES: usize = 256;

impl Loose {
    /// The head at the front of `bytes`, up to an empty line however lines are ended.
    pub(super) fn find(bytes: &[u8]) -> Option<Self> {
        let ends = |at: usize| match bytes.get(at + 1..) {
            Some([b'\n', ..]) => Some(at + 2),
            Some([b'\r', b'\n', ..]) => Some(at + 3),
            _ => None,
        };
        let len = memchr_iter(b'\n', bytes).find_map(ends)?;
        let head = bytes.get(..len).unwrap_or_default();
        let lengths = lines(head).filter(|line| line.name.eq_ignore_ascii_case(b"content-length"));
        let body = lengths.filter_map(|line| std::str::from_utf8(line.value).ok()?.parse().ok()).max();
        Some(Self { len, body: body.unwrap_or(0) })
    }

    /// Shows it, with its body.
    pub(super) fn show(&self, bytes: &[u8], body: &[u8], show: impl FnOnce(&Request<'_>)) {
        let head = bytes.get(..self.len).unwrap_or_default();
        let first = head.get(..memchr(b'\n', head).unwrap_or(head.len())).unwrap_or_default();
        let first = trim(first.strip_suffix(b"\r").unwrap_or(first));
        let (method, rest) = first.split_at(memchr(b' ', first).unwrap_or(first.len()));
        let rest = trim(rest);
        // Where there are several spaces, the version stands behind the last.
        let version = rest.iter().rposition(|&byte| byte == b' ');
        let version = version.filter(|&at| rest.get(at + 1..).is_some_and(|word| word.starts_with(b"HTTP/")));
        let target = rest.get(..version.unwrap_or(rest.len())).unwrap_or_default();
        let headers: Vec<Header<'_>> = lines(head).take(MAX_LINES).collect();
        show(&Request { method, target, headers: &headers, body });
    }
}

/// The header lines of a head, whatever they end with.
fn lines(head: &[u8]) -> impl Iterator<Item = Header<'_>> {
    head.split(|&byte| byte == b'\n').skip(1).filter_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
        Some(Header { name: trim(name), value: trim(value.get(1..)?) })
    })
}
