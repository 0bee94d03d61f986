//! The whole of inspection: lines are the target, the headers and, after an empty one, the body.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skyshield_fuzz::inspect::fuzzing::Engine;

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::new);

fuzz_target!(|bytes: &[u8]| ENGINE.inspect(bytes));
