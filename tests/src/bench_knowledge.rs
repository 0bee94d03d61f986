//! The bench of what is known of sources: how long a look at a place takes, a million prefixes take to the
//! kernel, and a request takes while every provider is dead.

mod lists;
mod places;
mod requests;

use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Prefixes of a list.
    pub prefixes: u32,
    /// Stretches of a database.
    pub stretches: u32,
    /// Requests of a round.
    pub requests: u32,
    /// Whether there is a kernel to load a list into.
    pub kernel: bool,
}

/// Runs it all and returns the figures, one JSON object.
pub fn run(size: Size, say: &dyn Fn(&str)) -> Result<Value> {
    say(&format!("looks at a database of {} stretches", size.stretches));
    let places = places::measure(size.stretches)?;
    say(&format!("a list of {} prefixes, from its bytes to the kernel", size.prefixes));
    let lists = lists::measure(size.prefixes, size.kernel)?;
    say(&format!("rounds of {} requests beside dead providers", size.requests));
    let requests = requests::measure(size.requests)?;
    Ok(json!({ "places": places, "lists": lists, "requests": requests }))
}

#[expect(clippy::disallowed_methods, reason = "the harness owns its own clock")]
fn now() -> Instant {
    Instant::now()
}

/// The next of numbers that look like chance, the same each time.
fn next(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    u32::try_from(*state >> 33).unwrap_or_default() << 1
}
