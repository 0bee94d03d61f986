//! Each parser of bodies: the first byte chooses it, the rest is the body.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skyshield::inspect::{Header, Inspector, Limits, Request};

static INSPECTOR: LazyLock<Inspector> = LazyLock::new(|| Inspector::new(Limits::default()));

const KINDS: [&[u8]; 5] =
    [b"application/json", b"multipart/form-data", b"application/x-www-form-urlencoded", b"text/xml", b""];

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, body)) = bytes.split_first() else { return };
    let value = KINDS[usize::from(*kind) % KINDS.len()];
    let headers = [Header { name: b"content-type", value }];
    INSPECTOR.inspect(&Request { method: b"POST", target: b"/", headers: &headers, body });
});
