//! The one owner of "now": everything else is handed the time.

use std::time::{Instant, SystemTime};

/// The monotonic time, for durations and deadlines.
#[expect(clippy::disallowed_methods, reason = "this room owns the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time on the wall, for people and for the store.
#[expect(clippy::disallowed_methods, reason = "this room owns the clock")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
