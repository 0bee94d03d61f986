//! What one request moves: bytes counted for its site, and at the end against its source's quota.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Shared;
use super::metrics::SiteMetrics;
use crate::clock;

/// The account of a request, settled when it is dropped.
pub(super) struct Account<'a> {
    pub(super) shared: &'a Shared,
    site: &'a SiteMetrics,
    source: IpAddr,
    bytes: AtomicU64,
}

impl<'a> Account<'a> {
    /// The account of a request of which `read` bytes have come, and were counted, by `source`.
    pub(super) fn of(shared: &'a Shared, site: &'a SiteMetrics, source: IpAddr, read: usize) -> Self {
        site.bytes_in.inc_by(read as u64);
        Self { shared, site, source, bytes: AtomicU64::new(read as u64) }
    }

    /// Counts bytes that came from the client.
    pub(super) fn came(&self, count: u64) {
        self.shared.metrics.bytes_in.inc_by(count);
        self.site.bytes_in.inc_by(count);
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts bytes that go to the client.
    pub(super) fn goes(&self, count: u64) {
        self.shared.metrics.bytes_out.inc_by(count);
        self.site.bytes_out.inc_by(count);
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Account<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Account")
            .field("source", &self.source)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        self.shared.judge.spend(self.source, *self.bytes.get_mut(), clock::now);
    }
}
