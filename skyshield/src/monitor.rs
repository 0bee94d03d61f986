//! Measuring: the host, the application, the business, the daemon itself; never on a request's path.

pub mod business;
mod collector;
mod config;
pub mod daemon;
mod family;
mod history;
mod host;
pub mod levels;
mod sampler;
mod traffic;

pub use collector::Pulled;
pub use config::Config;
pub use family::{Family, Kind};
pub use sampler::{MoreReadings, Sampler, Seen};
pub use traffic::SLOW_AFTER;

/// A count as metrics have it.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats; counts of one host are far below 2^53")]
pub(crate) fn host_number(count: u64) -> f64 {
    count as f64
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since_epoch = crate::clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
