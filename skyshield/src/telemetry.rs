//! How the daemon tells of itself: logs, the metrics page, and reports of its faults.

mod log;
mod requests;
mod sentry;

use std::io::Write as _;

use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{Encoder, Registry, TextEncoder};

pub use log::{Collector as LostLines, Config, Error, Level, Logs, PERFORMANCE, SECURITY, init as init_logs};
pub use requests::{Requests, Served};
pub use sentry::{Collector as Reports, Config as SentryConfig, Sentry, init as init_sentry};

/// The `Content-Type` of [`page`].
pub const PAGE_TYPE: &str = prometheus::TEXT_FORMAT;

/// The metrics page in Prometheus' text format.
pub fn page(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut page = Vec::with_capacity(16 * 1024);
    let is_untyped = |family: &MetricFamily| family.get_field_type() == MetricType::UNTYPED;
    let (untyped, typed): (Vec<_>, Vec<_>) = registry.gather().into_iter().partition(is_untyped);
    TextEncoder::new().encode(&typed, &mut page)?;
    untyped.iter().try_for_each(|family| write_untyped(family, &mut page))?;
    Ok(page)
}

/// Prometheus' library writes no untyped metrics; those here are gauges inside, and have no labels.
fn write_untyped(family: &MetricFamily, page: &mut Vec<u8>) -> Result<(), prometheus::Error> {
    let name = family.name();
    writeln!(page, "# HELP {name} {}\n# TYPE {name} untyped", family.help())?;
    for metric in family.get_metric() {
        writeln!(page, "{name} {}", metric.get_gauge().get_value())?;
    }
    Ok(())
}
