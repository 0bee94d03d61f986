//! Documents of GraphQL.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skyshield_fuzz::inspect::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::documents(bytes));
