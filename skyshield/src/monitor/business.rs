//! The business: what the operator declares is counted, from events that the application sends and from
//! requests that pass.

mod batch;
mod config;
mod group;
mod ingest;
mod metrics;
mod observed;
mod report;
mod sketch;

pub use batch::{Batch, Event, Invalid, MAX_EVENTS, parse};
pub use config::{Config, Conversion, Kind, KindConfig, RuleConfig, problem};
pub use ingest::{Business, Ingest, Outcome, Receipt};
pub use observed::Observed;
pub use report::{Period, Report, report};
pub use sketch::Sketch;

/// Seconds of an hour and of a day.
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// When the step of `length` seconds began that `at` lies in.
const fn begin(at: i64, length: i64) -> i64 {
    at - at.rem_euclid(length)
}
