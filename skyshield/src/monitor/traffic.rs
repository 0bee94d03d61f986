//! What the metrics page says between two looks: rates of everything, and each site in few numbers.

use std::collections::{BTreeMap, HashMap};

use prometheus::proto::{Bucket, LabelPair, Metric, MetricFamily, MetricType};

use super::host_number;
use crate::engine::reading::Reading;

/// The bound of the histogram of response times that service levels are measured at, in seconds.
pub const SLOW_AFTER: f64 = 2.0;

/// What a site has answered since the daemon started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Site {
    /// Requests.
    pub requests: u64,
    /// Those of which is known how long they took.
    pub timed: u64,
    /// Those answered with 5xx.
    pub errors: u64,
    /// Those that no upstream answered.
    pub unavailable: u64,
    /// Those that took longer than [`SLOW_AFTER`].
    pub slow: u64,
    /// Answers from the application's cache.
    pub hits: u64,
    /// Answers that its cache did not have.
    pub misses: u64,
    /// Seconds in the application's database, and how many answers told of them.
    pub database: (f64, u64),
    /// Upper bounds of response times in seconds, and how many took no longer.
    pub buckets: Vec<(f64, u64)>,
}

/// Every site by its name.
pub(super) type Sites = BTreeMap<String, Site>;

/// What of the metrics page tells of sites: of the gateway's, and of those that proxies tell of.
const KNOWN: [&str; 7] = [
    "skyshield_request_duration_seconds",
    "skyshield_site_unavailable_total",
    "skyshield_upstream_cache_total",
    "skyshield_upstream_database_seconds",
    "skyshield_forward_auth_answers_total",
    "skyshield_forward_auth_request_duration_seconds",
    "skyshield_forward_auth_unavailable_total",
];

/// What each site has answered, by the metrics page.
pub(super) fn sites(page: &[MetricFamily]) -> Sites {
    let mut sites = Sites::new();
    for family in page {
        for metric in family.get_metric() {
            let Some(name) = label(metric, "site") else { continue };
            if !KNOWN.contains(&family.name()) {
                continue;
            }
            let site = sites.entry(name.to_owned()).or_default();
            match family.name() {
                "skyshield_request_duration_seconds" => {
                    site.add_answers(metric, metric.get_histogram().get_sample_count());
                    site.add_durations(metric);
                }
                // Of these an access log need not say how long they took.
                "skyshield_forward_auth_answers_total" => site.add_answers(metric, count(metric)),
                "skyshield_forward_auth_request_duration_seconds" => site.add_durations(metric),
                "skyshield_site_unavailable_total" | "skyshield_forward_auth_unavailable_total" => {
                    site.unavailable += count(metric);
                }
                "skyshield_upstream_cache_total" => match label(metric, "result") {
                    Some("hit") => site.hits += count(metric),
                    Some("miss") => site.misses += count(metric),
                    _ => {}
                },
                _ => {
                    let histogram = metric.get_histogram();
                    site.database.0 += histogram.get_sample_sum();
                    site.database.1 += histogram.get_sample_count();
                }
            }
        }
    }
    sites
}

impl Site {
    fn add_answers(&mut self, metric: &Metric, count: u64) {
        self.requests += count;
        if label(metric, "family") == Some("5xx") {
            self.errors += count;
        }
    }

    fn add_durations(&mut self, metric: &Metric) {
        let histogram = metric.get_histogram();
        let count = histogram.get_sample_count();
        self.timed += count;
        let buckets = histogram.get_bucket();
        if self.buckets.is_empty() {
            self.buckets = buckets.iter().map(|bucket| (bucket.upper_bound(), 0)).collect();
        }
        for (sum, bucket) in self.buckets.iter_mut().zip(buckets) {
            sum.1 += bucket.cumulative_count();
        }
        let in_time = buckets.iter().find(|bucket| bucket.upper_bound() >= SLOW_AFTER);
        self.slow += count.saturating_sub(in_time.map_or(count, Bucket::cumulative_count));
    }

    /// What has come since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let buckets = self.buckets.iter().enumerate().map(|(at, &(bound, count))| {
            let then = before.buckets.get(at).map_or(0, |&(_, then)| then);
            (bound, count.saturating_sub(then))
        });
        Self {
            requests: self.requests.saturating_sub(before.requests),
            timed: self.timed.saturating_sub(before.timed),
            errors: self.errors.saturating_sub(before.errors),
            unavailable: self.unavailable.saturating_sub(before.unavailable),
            slow: self.slow.saturating_sub(before.slow),
            hits: self.hits.saturating_sub(before.hits),
            misses: self.misses.saturating_sub(before.misses),
            database: (
                (self.database.0 - before.database.0).max(0.0),
                self.database.1.saturating_sub(before.database.1),
            ),
            buckets: buckets.collect(),
        }
    }

    /// The time that a share of the requests took no longer than, in seconds, as Prometheus reckons it:
    /// evenly spread within a bucket. None where there were none of which that is known.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = host_number(self.timed) * share;
        let mut below = (0.0, 0);
        for &(bound, count) in &self.buckets {
            if count > 0 && host_number(count) >= wanted {
                let within = (wanted - host_number(below.1)) / host_number(count - below.1).max(1.0);
                return Some(below.0 + (bound - below.0) * within.clamp(0.0, 1.0));
            }
            below = (bound, count);
        }
        (self.timed > 0).then_some(below.0)
    }

    /// In few numbers, of `seconds`.
    pub fn readings(&self, name: &str, seconds: f64) -> Vec<Reading> {
        let of = |what: &str, value: f64| Reading::of(what, "site", name, value);
        let requests = host_number(self.requests);
        let mut all = vec![of("site_requests_per_second", requests / seconds)];
        if self.requests > 0 {
            all.push(of("site_error_ratio", host_number(self.errors) / requests));
        }
        for (what, share) in
            [("site_p50_seconds", 0.5), ("site_p95_seconds", 0.95), ("site_p99_seconds", 0.99)]
        {
            all.extend(self.quantile(share).map(|value| of(what, value)));
        }
        if self.hits + self.misses > 0 {
            all.push(of(
                "site_cache_hit_ratio",
                host_number(self.hits) / host_number(self.hits + self.misses),
            ));
        }
        if self.database.1 > 0 {
            all.push(of("site_database_seconds", self.database.0 / host_number(self.database.1)));
        }
        all
    }
}

/// A series of the page: its name, its labels.
type Key = (String, Vec<(String, String)>);

/// The page of metrics as readings: gauges as they are, counters by their growth since the last look.
#[derive(Debug, Default)]
pub(super) struct Rates {
    before: HashMap<Key, f64>,
    has_looked: bool,
}

impl Rates {
    /// The readings of `page`, `seconds` after the last one.
    pub(super) fn readings(&mut self, page: &[MetricFamily], seconds: f64) -> Vec<Reading> {
        let mut all = Vec::new();
        let mut counters = HashMap::with_capacity(self.before.len());
        for family in page.iter().filter(|family| !is_the_hosts(family.name())) {
            let kind = family.get_field_type();
            for metric in family.get_metric() {
                let labels = metric.get_label().iter();
                let mut labels: Vec<_> =
                    labels.map(|pair| (pair.name().to_owned(), pair.value().to_owned())).collect();
                labels.sort_unstable();
                let name = family.name().to_owned();
                if kind == MetricType::GAUGE {
                    all.push(Reading { name, labels, value: metric.get_gauge().get_value() });
                } else if kind == MetricType::COUNTER {
                    let (key, now) = ((name, labels), metric.get_counter().get_value());
                    // One that is new since the last look has grown from nothing.
                    let then = self.before.get(&key).copied().or_else(|| self.has_looked.then_some(0.0));
                    if let Some(then) = then.filter(|_| seconds > 0.0) {
                        let value = ((now - then) / seconds).max(0.0);
                        all.push(Reading { name: key.0.clone(), labels: key.1.clone(), value });
                    }
                    counters.insert(key, now);
                }
            }
        }
        // Series of the page are bounded, and so is this.
        self.before = counters;
        self.has_looked = true;
        all
    }
}

/// The host's own are judged by its vitals.
fn is_the_hosts(name: &str) -> bool {
    name.starts_with("node_") || name.starts_with("skyshield_host_")
}

fn label<'a>(metric: &'a Metric, name: &str) -> Option<&'a str> {
    metric.get_label().iter().find(|pair| pair.name() == name).map(LabelPair::value)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the counter is of whole, positive numbers"
)]
fn count(metric: &Metric) -> u64 {
    metric.get_counter().get_value() as u64
}

#[cfg(test)]
mod tests {
    use prometheus::{HistogramOpts, HistogramVec, IntCounter, Registry};

    use super::*;

    #[test]
    fn a_site_comes_to_few_numbers() {
        let registry = Registry::new();
        let opts =
            HistogramOpts::new("skyshield_request_duration_seconds", "h").buckets(vec![0.1, 1.0, 2.0, 5.0]);
        let durations = HistogramVec::new(opts, &["site", "class", "family"]).unwrap();
        registry.register(Box::new(durations.clone())).unwrap();
        let observe = |family: &str, seconds: f64, times: usize| {
            let histogram = durations.with_label_values(&["shop", "api", family]);
            (0..times).for_each(|_| histogram.observe(seconds));
        };
        observe("2xx", 0.05, 90);
        let before = sites(&registry.gather());
        observe("2xx", 0.05, 90);
        observe("5xx", 3.0, 10);
        let site = sites(&registry.gather())["shop"].since(&before["shop"]);
        assert_eq!((site.requests, site.timed, site.errors, site.slow), (100, 100, 10, 10));
        let readings = site.readings("shop", 10.0);
        let value =
            |name: &str| readings.iter().find(|reading| reading.name == name).map(|reading| reading.value);
        assert_eq!(value("site_requests_per_second"), Some(10.0));
        assert_eq!(value("site_error_ratio"), Some(0.1));
        assert!((0.05..0.06).contains(&value("site_p50_seconds").unwrap()), "{readings:?}");
        assert!((3.0..=5.0).contains(&value("site_p95_seconds").unwrap()), "{readings:?}");
        assert_eq!(value("site_cache_hit_ratio"), None);
    }

    #[test]
    fn a_counter_is_read_as_its_growth() {
        let registry = Registry::new();
        let counter = IntCounter::new("skyshield_x_total", "h").unwrap();
        registry.register(Box::new(counter.clone())).unwrap();
        let mut rates = Rates::default();
        counter.inc_by(5);
        assert!(rates.readings(&registry.gather(), 10.0).is_empty(), "nothing is known of before");
        counter.inc_by(20);
        assert_eq!(rates.readings(&registry.gather(), 10.0), [Reading::new("skyshield_x_total", 2.0)]);
        let new = IntCounter::new("skyshield_y_total", "h").unwrap();
        registry.register(Box::new(new.clone())).unwrap();
        new.inc_by(30);
        let readings = rates.readings(&registry.gather(), 10.0);
        assert_eq!(readings[1], Reading::new("skyshield_y_total", 3.0), "a first failure is a failure");
    }
}
