//! Operators' own rules: files of them, read, checked, compiled and asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyshield_fuzz::inspect::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::rules(bytes));
