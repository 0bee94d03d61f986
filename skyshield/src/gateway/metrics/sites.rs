//! What is measured of each site. Labels are names of the configuration, and few others.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::counters;
use crate::gateway::server_timing::{Cache, ServerTiming};

/// Bounds of the histograms, in seconds: fine where a gateway lives, coarse beyond.
const BUCKETS: [f64; 13] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.0, 5.0, 30.0];
const FAMILIES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Classes that are told apart at the most; there are fewer in any configuration, but it may be reloaded.
const MAX_CLASSES: usize = 64;
/// The class of a request that has none, or of which none is known.
pub(in crate::gateway) const NO_CLASS: &str = "none";

/// The measures of one site. Clones measure together.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct SiteMetrics {
    site: Arc<str>,
    durations: HistogramVec,
    /// Those of each class that was seen.
    classes: Arc<ArcSwap<Vec<Class>>>,
    upstream: Histogram,
    pub(in crate::gateway) bytes_in: IntCounter,
    pub(in crate::gateway) bytes_out: IntCounter,
    database: Histogram,
    cache: [IntCounter; 3],
    unavailable: IntCounter,
}

/// A class by its name, and its histograms by status family.
type Class = (Arc<str>, [Histogram; 5]);

/// Those of all sites.
#[derive(Clone, Debug)]
pub(super) struct SiteFamilies {
    durations: HistogramVec,
    upstream: HistogramVec,
    bytes: IntCounterVec,
    database: HistogramVec,
    cache: IntCounterVec,
    unavailable: IntCounterVec,
}

impl SiteFamilies {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histograms = |name: &str, help: &str, labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
            let histograms = HistogramVec::new(opts, labels)?;
            registry.register(Box::new(histograms.clone()))?;
            Ok::<_, prometheus::Error>(histograms)
        };
        Ok(Self {
            durations: histograms(
                "skyshield_request_duration_seconds",
                "From a request's last inspected byte to its response's last byte, by site, class of the \
                 quota and status family.",
                &["site", "class", "family"],
            )?,
            upstream: histograms(
                "skyshield_upstream_duration_seconds",
                "From a request's first byte to an upstream to the end of its answer's head.",
                &["site"],
            )?,
            bytes: counters(
                registry,
                "skyshield_site_bytes_total",
                "Bytes of requests that were forwarded, and of their responses.",
                &["site", "direction"],
            )?,
            database: histograms(
                "skyshield_upstream_database_seconds",
                "Time in a database, as upstreams tell it: `db` of `Server-Timing`.",
                &["site"],
            )?,
            cache: counters(
                registry,
                "skyshield_upstream_cache_total",
                "Answers from a cache or not, as upstreams tell it: `cache` of `Server-Timing`.",
                &["site", "result"],
            )?,
            unavailable: counters(
                registry,
                "skyshield_site_unavailable_total",
                "Requests that nobody could answer: those answered with 502, 503 or 504.",
                &["site"],
            )?,
        })
    }

    pub(super) fn of(&self, site: &str) -> SiteMetrics {
        SiteMetrics {
            site: site.into(),
            durations: self.durations.clone(),
            classes: Arc::default(),
            upstream: self.upstream.with_label_values(&[site]),
            bytes_in: self.bytes.with_label_values(&[site, "in"]),
            bytes_out: self.bytes.with_label_values(&[site, "out"]),
            database: self.database.with_label_values(&[site]),
            cache: ["hit", "miss", "other"].map(|result| self.cache.with_label_values(&[site, result])),
            unavailable: self.unavailable.with_label_values(&[site]),
        }
    }
}

impl SiteMetrics {
    /// The site's name.
    pub(in crate::gateway) fn name(&self) -> &str {
        &self.site
    }

    /// Measures a request of `class` that was answered with `status` after `time`.
    pub(in crate::gateway) fn took(&self, class: Option<&str>, status: u16, time: Duration) {
        let class = class.unwrap_or(NO_CLASS);
        if matches!(status, 502..=504) {
            self.unavailable.inc();
        }
        let family = usize::from(status / 100).saturating_sub(1);
        let known = self.classes.load();
        let found = known.iter().find(|(name, _)| **name == *class);
        let seen_first = found.is_none().then(|| self.meet(class));
        let histograms = found.map(|(_, histograms)| histograms).or(seen_first.as_ref());
        if let Some(histogram) = histograms.and_then(|histograms| histograms.get(family)) {
            histogram.observe(time.as_secs_f64());
        }
    }

    /// The histograms of a class that was not seen before.
    fn meet(&self, class: &str) -> [Histogram; 5] {
        let full = self.classes.load().len() >= MAX_CLASSES;
        let class = if full { NO_CLASS } else { class };
        let histograms =
            FAMILIES.map(|family| self.durations.with_label_values(&[&*self.site, class, family]));
        if !full {
            self.classes.rcu(|known| {
                let mut all = Vec::clone(known);
                all.push((class.into(), histograms.clone()));
                all
            });
        }
        histograms
    }

    /// Measures an upstream's answer whose head came after `time`, and what it tells of itself.
    pub(in crate::gateway) fn answered(&self, time: Duration, timing: ServerTiming) {
        self.upstream.observe(time.as_secs_f64());
        if let Some(database) = timing.database {
            self.database.observe(database.as_secs_f64());
        }
        if let Some(cache) = timing.cache {
            let [hit, miss, other] = &self.cache;
            match cache {
                Cache::Hit => hit.inc(),
                Cache::Miss => miss.inc(),
                Cache::Other => other.inc(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_labels_up_to_a_number() {
        let registry = Registry::new();
        let site = SiteFamilies::new(&registry).unwrap().of("shop");
        for class in 0..MAX_CLASSES * 2 {
            site.took(Some(&format!("class{class}")), 204, Duration::from_millis(3));
        }
        site.took(None, 502, Duration::from_millis(3));
        let families = registry.gather();
        let durations = families.iter().find(|family| family.name() == "skyshield_request_duration_seconds");
        let series = durations.unwrap().get_metric();
        let counted = |class: &str, family: &str| -> u64 {
            let of = series.iter().filter(|metric| {
                [class, family]
                    .iter()
                    .all(|label| metric.get_label().iter().any(|pair| pair.value() == *label))
            });
            of.map(|metric| metric.get_histogram().get_sample_count()).sum()
        };
        assert_eq!((counted("class0", "2xx"), counted("none", "2xx"), counted("none", "5xx")), (1, 64, 1));
        assert_eq!(series.len(), (MAX_CLASSES + 1) * FAMILIES.len());
    }
}
