//! Metrics as values: what the daemon has counted, by name and labels.

use std::collections::BTreeMap;

use prometheus::Registry;
use prometheus::proto::{Metric, MetricType};
use serde::Serialize;
use utoipa::ToSchema;

/// Values by name; of several, by their labels.
pub(super) type Values = BTreeMap<String, Measured>;

/// What a metric says.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Measured {
    /// One value.
    One(f64),
    /// One for each set of labels: `device=sda`, several with commas between.
    Several(BTreeMap<String, f64>),
}

/// What begins every name of ours.
const OURS: &str = "skyshield_";

/// Those metrics of `registry` that `wanted` names, without the prefix that all have. Of a histogram: how many it has
/// seen, and their mean.
pub(super) fn of(registry: &Registry, wanted: &[&str]) -> Values {
    let mut values = Values::new();
    for family in registry.gather() {
        let Some(name) = family.name().strip_prefix(OURS).filter(|name| wanted.contains(name)) else {
            continue;
        };
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::COUNTER => put(&mut values, name, metric, metric.get_counter().get_value()),
                MetricType::GAUGE => put(&mut values, name, metric, metric.get_gauge().get_value()),
                MetricType::HISTOGRAM => {
                    let seen = metric.get_histogram();
                    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
                    let count = seen.get_sample_count() as f64;
                    put(&mut values, &format!("{name}_count"), metric, count);
                    if count > 0.0 {
                        put(&mut values, &format!("{name}_mean"), metric, seen.get_sample_sum() / count);
                    }
                }
                MetricType::SUMMARY | MetricType::UNTYPED => {}
            }
        }
    }
    values
}

fn put(values: &mut Values, name: &str, metric: &Metric, value: f64) {
    // JSON has no word for what is no number.
    if !value.is_finite() {
        return;
    }
    let labels = metric.get_label();
    if labels.is_empty() {
        values.insert(name.to_owned(), Measured::One(value));
        return;
    }
    let which: Vec<_> = labels.iter().map(|label| format!("{}={}", label.name(), label.value())).collect();
    if let Measured::Several(several) =
        values.entry(name.to_owned()).or_insert_with(|| Measured::Several(BTreeMap::new()))
    {
        several.insert(which.join(","), value);
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts};

    use super::*;

    #[test]
    fn what_is_wanted_is_told_and_nothing_else() {
        let registry = Registry::new();
        let plain = IntCounter::new("skyshield_plain_total", "plain").unwrap();
        let by = IntCounterVec::new(Opts::new("skyshield_by_total", "by"), &["act", "door"]).unwrap();
        let lag = Histogram::with_opts(HistogramOpts::new("skyshield_lag_seconds", "lag")).unwrap();
        let other = IntCounter::new("skyshield_other_total", "other").unwrap();
        registry.register(Box::new(plain.clone())).unwrap();
        registry.register(Box::new(by.clone())).unwrap();
        registry.register(Box::new(lag.clone())).unwrap();
        registry.register(Box::new(other)).unwrap();
        plain.inc_by(3);
        by.with_label_values(&["ban", "tap"]).inc_by(2);
        lag.observe(0.5);
        lag.observe(1.5);
        let values = of(&registry, &["plain_total", "by_total", "lag_seconds"]);
        assert_eq!(
            serde_json::to_value(values).unwrap(),
            serde_json::json!({
                "plain_total": 3.0, "by_total": { "act=ban,door=tap": 2.0 },
                "lag_seconds_count": 2.0, "lag_seconds_mean": 1.0,
            })
        );
    }
}
