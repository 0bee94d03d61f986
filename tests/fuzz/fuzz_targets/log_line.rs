//! A line of an access log, in each format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyshield_fuzz::forward_auth::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::log_line(bytes));
