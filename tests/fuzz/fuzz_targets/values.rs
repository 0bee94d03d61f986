//! Decoding, prefilter and checks: any bytes as target, header, cookie and path.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skyshield::inspect::{Header, Inspector, Limits, Request};

static INSPECTOR: LazyLock<Inspector> = LazyLock::new(|| Inspector::new(Limits::default()));

fuzz_target!(|bytes: &[u8]| {
    let headers = [Header { name: b"cookie", value: bytes }, Header { name: b"user-agent", value: bytes }];
    let query = [b"/?a=", bytes].concat();
    for target in [bytes, &query] {
        INSPECTOR.inspect(&Request { method: b"GET", target, headers: &headers, body: b"" });
    }
});
