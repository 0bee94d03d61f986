//! How the daemon tells of itself: logs, and the metrics page.

mod log;

use prometheus::{Encoder, Registry, TextEncoder};

pub use log::{Config, Format, Level, init};

/// The `Content-Type` of [`page`].
pub const PAGE_TYPE: &str = prometheus::TEXT_FORMAT;

/// The metrics page in Prometheus' text format.
pub fn page(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut page = Vec::with_capacity(16 * 1024);
    TextEncoder::new().encode(&registry.gather(), &mut page)?;
    Ok(page)
}
