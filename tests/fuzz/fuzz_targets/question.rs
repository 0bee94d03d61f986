//! A proxy's question: its head, and its body in chunks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyshield_fuzz::forward_auth::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::question(bytes));
