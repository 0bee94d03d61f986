//! Metrics that are read where they are asked for, as Prometheus' library wants them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::family::{Family, Kind};

/// What reads the metrics.
type Read = Box<dyn Fn() -> Vec<MetricFamily> + Send + Sync>;

/// A collector over whatever a function reads.
pub struct Pulled {
    read: Read,
    descriptions: Vec<Desc>,
}

impl Pulled {
    /// A collector named `name` (one of its metrics), over what `read` yields at each scrape.
    pub fn new(
        name: &str,
        read: impl Fn() -> Vec<MetricFamily> + Send + Sync + 'static,
    ) -> Result<Self, prometheus::Error> {
        let help = "Read at each scrape.".to_owned();
        let description = Desc::new(name.to_owned(), help, Vec::new(), std::collections::HashMap::new())?;
        Ok(Self { read: Box::new(read), descriptions: vec![description] })
    }
}

impl Collector for Pulled {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.read)()
    }
}

/// The host as it was seen last, ready to be served: a scrape costs the host nothing.
#[derive(Clone, Default)]
pub(super) struct LastLook(Arc<ArcSwap<Vec<MetricFamily>>>);

impl LastLook {
    /// Takes the place of the look before.
    pub(super) fn renew(&self, families: &[Family], taken: Duration, at: SystemTime) {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let own = [
            Family::new(
                "skyshield_host_sample_timestamp_seconds",
                Kind::Gauge,
                "When the host was looked at last.",
            )
            .with(vec![], seconds),
            Family::new("skyshield_host_sample_duration_seconds", Kind::Gauge, "How long that took.")
                .with(vec![], taken.as_secs_f64()),
        ];
        let all = families.iter().chain(&own).map(Family::to_proto).collect();
        self.0.store(Arc::new(all));
    }

    /// The collector of it.
    pub(super) fn collector(&self) -> Result<Pulled, prometheus::Error> {
        let last = Arc::clone(&self.0);
        Pulled::new("skyshield_host_sample_timestamp_seconds", move || Vec::clone(&last.load()))
    }
}
