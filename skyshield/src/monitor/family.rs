//! A metric as read from the host: a name, what it says, and one value for each set of labels.

use std::borrow::Cow;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// What a metric's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the host starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// One of either: `node_exporter` does not say of some.
    Untyped,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Names of the labels and their values.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

/// A metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it says.
    pub help: Cow<'static, str>,
    /// What its values are.
    pub kind: Kind,
    /// Its values.
    pub samples: Vec<Sample>,
}

impl Family {
    /// A metric without values yet.
    pub fn new(name: impl Into<Cow<'static, str>>, kind: Kind, help: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), help: help.into(), kind, samples: Vec::new() }
    }

    /// With one more value.
    #[must_use]
    pub fn with(mut self, labels: Vec<(&'static str, String)>, value: f64) -> Self {
        self.samples.push(Sample { labels, value });
        self
    }

    /// With a value for each of `values`.
    #[must_use]
    pub fn with_all(mut self, values: impl IntoIterator<Item = (Vec<(&'static str, String)>, f64)>) -> Self {
        self.samples.extend(values.into_iter().map(|(labels, value)| Sample { labels, value }));
        self
    }

    /// As Prometheus' library has it.
    pub fn to_proto(&self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.clone().into_owned());
        family.set_help(self.help.clone().into_owned());
        family.set_field_type(match self.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Untyped => MetricType::UNTYPED,
        });
        family.set_metric(self.samples.iter().map(|sample| sample.to_proto(self.kind)).collect());
        family
    }
}

impl Sample {
    fn to_proto(&self, kind: Kind) -> Metric {
        let pairs = self.labels.iter().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value.clone());
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        match kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(self.value);
                metric.set_counter(counter);
            }
            // The library has no untyped value; the page writes these itself.
            Kind::Gauge | Kind::Untyped => {
                let mut gauge = Gauge::default();
                gauge.set_value(self.value);
                metric.set_gauge(gauge);
            }
        }
        metric
    }
}
