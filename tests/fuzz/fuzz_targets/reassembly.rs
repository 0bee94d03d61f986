//! Segments in any order, with any overlaps, gaps and lies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyshield_fuzz::tap::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::reassembly(bytes));
