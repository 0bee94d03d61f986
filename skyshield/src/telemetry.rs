//! How the daemon tells of itself: logs, the metrics page, and reports of its faults.

mod log;
mod requests;
mod sentry;

use prometheus::{Encoder, Registry, TextEncoder};

pub use log::{Collector as LostLines, Config, Error, Level, Logs, PERFORMANCE, SECURITY, init as init_logs};
pub use requests::{Requests, Served};
pub use sentry::{Collector as Reports, Config as SentryConfig, Sentry, init as init_sentry};

/// The `Content-Type` of [`page`].
pub const PAGE_TYPE: &str = prometheus::TEXT_FORMAT;

/// The metrics page in Prometheus' text format.
pub fn page(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut page = Vec::with_capacity(16 * 1024);
    TextEncoder::new().encode(&registry.gather(), &mut page)?;
    Ok(page)
}
