//! The PROXY protocol, both versions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyshield_fuzz::gateway::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::proxy_header(bytes));
