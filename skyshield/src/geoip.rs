//! Where addresses are: databases in `MaxMind`'s format, read whole into memory and swapped when their
//! files change. Never mapped: a file that is cut short under a map is the end of the process.

mod config;
mod keeper;
mod metrics;
mod read;

pub use config::{Config, OnMissing};
pub use keeper::{Database, Keeper};
pub use metrics::Metrics;
pub use read::{Facts, Kind, ReadError, read};

#[cfg(test)]
mod tests;
