//! Requests that took long, and a sample of how long any took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Config, PERFORMANCE, SentryConfig, sentry};
use crate::clock;

/// A request that was served.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// The site's name.
    pub site: &'a str,
    /// The class of its quota.
    pub class: &'a str,
    /// What it was answered with.
    pub status: u16,
    /// How long that took.
    pub took: Duration,
}

/// Bytes of a target that are told.
const TARGET_BYTES: usize = 512;

/// What is told of requests besides metrics. Clones tell together.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    slower_than: Option<Duration>,
    sample: Option<Sample>,
}

/// One in so many.
#[derive(Clone, Debug)]
struct Sample {
    every: u64,
    seen: Arc<AtomicU64>,
}

impl Requests {
    /// Tells what `log` and `sentry` ask for.
    pub fn new(log: &Config, sentry: &SentryConfig) -> Self {
        let slower_than =
            log.performance.file.as_ref().map(|_| Duration::from_millis(log.performance.slower_than_ms));
        let is_sampled = sentry.is_on() && sentry.traces_sample_rate > 0.0;
        let sample = is_sampled.then(|| Sample::of(f64::from(sentry.traces_sample_rate)));
        Self { slower_than, sample }
    }

    /// A request was served; `line` gives its method and target, where they are wanted.
    pub fn served<'a>(&self, served: Served<'_>, line: impl FnOnce() -> (&'a [u8], &'a [u8])) {
        let Served { site, class, status, took } = served;
        if self.slower_than.is_some_and(|limit| took >= limit) {
            let (method, target) = line();
            // What stands behind the `?` may be anybody's secret.
            let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
            let path = path.get(..TARGET_BYTES).unwrap_or(path);
            tracing::info!(
                target: PERFORMANCE,
                event = "slow_request",
                site,
                class,
                status = u64::from(status),
                took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                method = &*String::from_utf8_lossy(method),
                path = &*String::from_utf8_lossy(path),
                "a request took long"
            );
        }
        if self.sample.as_ref().is_some_and(Sample::takes) {
            sentry::request(site, class, status, took, clock::wall());
        }
    }
}

impl Sample {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 2^53")]
    fn of(rate: f64) -> Self {
        Self { every: (1.0 / rate).round().max(1.0) as u64, seen: Arc::default() }
    }

    fn takes(&self) -> bool {
        self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_takes_its_part() {
        let sample = Sample::of(0.01);
        assert_eq!((0..10_000).filter(|_| sample.takes()).count(), 100);
        assert!(Sample::of(1.0).takes());
    }
}
