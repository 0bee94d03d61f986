//! Requests of one connection, with their bodies: what the guard makes of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyshield_fuzz::gateway::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::connection(bytes));
