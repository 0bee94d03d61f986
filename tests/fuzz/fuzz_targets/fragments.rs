//! Fragments of IP packets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyshield_fuzz::tap::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::fragments(bytes));
