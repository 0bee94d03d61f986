//! What one source may do whatever it asks for: have so many requests in progress, move so many bytes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::table::nanos;
use super::{Counted, Limiter, Quota, SECOND, Unit};

/// The names of these limits, where classes have theirs.
pub(super) const NAMES: [&str; 2] = [CONCURRENT, BYTES];
const CONCURRENT: &str = "concurrent";
const BYTES: &str = "bytes";
/// Parts of the count with a lock each.
const SHARDS: usize = 32;
/// Requests in progress end at any time.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// What one source may do whatever it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PerSource {
    /// Requests in progress at a time; 0 is no limit. Default 1000.
    pub concurrent: u32,
    /// Bytes of requests and responses in a window; 0 is no limit. They are known when a request ends:
    /// what is in progress then is not cut off. Default 0.
    pub bytes: u64,
    /// The window of `bytes`, in seconds. Default 3600.
    pub window_secs: u32,
}

impl Default for PerSource {
    fn default() -> Self {
        Self { concurrent: 1000, bytes: 0, window_secs: 3600 }
    }
}

impl PerSource {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        const MONTH: u32 = 31 * 24 * 3600;
        let wrong = !(1..=MONTH).contains(&self.window_secs);
        wrong.then(|| ("limits.per_source.window_secs", format!("it is not between 1 and {MONTH}")))
    }
}

/// How many requests each source has in progress. Nobody is in it who has none.
#[derive(Debug)]
pub(super) struct InProgress(Vec<Mutex<HashMap<IpAddr, u32>>>);

/// A request in progress, until it is dropped.
#[derive(Debug)]
pub struct Stay {
    counts: Arc<InProgress>,
    source: IpAddr,
}

impl Default for InProgress {
    fn default() -> Self {
        Self(std::iter::repeat_with(Mutex::default).take(SHARDS).collect())
    }
}

impl InProgress {
    fn shard(&self, source: IpAddr) -> Option<MutexGuard<'_, HashMap<IpAddr, u32>>> {
        let bits = match source {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
        };
        // Which shard it is matters to nobody but for the wait of a lock.
        let at = usize::try_from(bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59).unwrap_or(0);
        self.0.get(at % SHARDS).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(mut shard) = self.counts.shard(self.source)
            && let Some(count) = shard.get_mut(&self.source)
        {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.source);
            }
        }
    }
}

impl Limiter {
    /// Lets a request of `client` begin; what it is beyond, if it is to come again later.
    pub fn enter(&self, client: IpAddr) -> Result<Option<Stay>, Counted> {
        let most = self.config.per_source.concurrent;
        if !self.config.enabled || most == 0 || self.is_exempt(client) {
            return Ok(None);
        }
        let source = self.source_of(client);
        if let Some(mut shard) = self.in_progress.shard(source) {
            let count = shard.entry(source).or_default();
            if *count >= most {
                drop(shard);
                self.limited.with_label_values(&[CONCURRENT]).inc();
                let quota = Quota {
                    class: CONCURRENT.into(),
                    unit: Unit::InProgress,
                    amount: u64::from(most),
                    window_secs: 0,
                    remaining: 0,
                    whole_in_secs: 0,
                };
                return Err(Counted::Over { quota, retry_after: COME_AGAIN });
            }
            *count += 1;
        }
        Ok(Some(Stay { counts: Arc::clone(&self.in_progress), source }))
    }

    /// Charges `client` with what a request of his has moved, at what `now` says.
    pub fn spend(&self, client: IpAddr, bytes: u64, now: impl FnOnce() -> Instant) {
        let Some(window) = self.bytes_window().filter(|_| bytes > 0 && !self.is_exempt(client)) else {
            return;
        };
        let cost = u128::from(bytes) * u128::from(window) / u128::from(self.config.per_source.bytes.max(1));
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        let key = self.table.fingerprint((BYTES, self.source_of(client)));
        let evicted = self.table.spend(key, cost, window, now());
        self.evicted.inc_by(u64::from(evicted));
    }

    /// What `client` has moved too much of at `now`, if it has.
    pub(super) fn over_bytes(&self, client: IpAddr, now: Instant) -> Option<Counted> {
        let window = self.bytes_window()?;
        let wait = self.table.wait(self.table.fingerprint((BYTES, self.source_of(client))), window, now)?;
        self.limited.with_label_values(&[BYTES]).inc();
        let quota = Quota {
            class: BYTES.into(),
            unit: Unit::Bytes,
            amount: self.config.per_source.bytes,
            window_secs: self.config.per_source.window_secs,
            remaining: 0,
            whole_in_secs: (wait + window).div_ceil(SECOND),
        };
        Some(Counted::Over { quota, retry_after: Duration::from_nanos(wait) })
    }

    /// The window of the bytes of a source, in nanoseconds, where they are limited.
    fn bytes_window(&self) -> Option<u64> {
        let limited = self.config.enabled && self.config.per_source.bytes > 0;
        limited.then(|| nanos(Duration::from_secs(u64::from(self.config.per_source.window_secs))))
    }
}
