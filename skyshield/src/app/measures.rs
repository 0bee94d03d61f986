//! What is measured, counted and told of: built together, run as tasks of their own.

use std::convert::Infallible;
use std::sync::Arc;

use prometheus::{Histogram, Registry};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::tasks;
use crate::alerts::{self, Alerts, Receivers};
use crate::api::Monitoring;
use crate::clock;
use crate::config::Config;
use crate::control::{self, Control};
use crate::engine::happening::Teller;
use crate::engine::watcher::Watcher;
use crate::lifecycle::Lifecycle;
use crate::monitor::business::{Business, Ingest, Observed};
use crate::monitor::daemon::{self, Queue};
use crate::monitor::levels::Levels;
use crate::monitor::{Sampler, Seen};
use crate::store::{self, Opened};
use crate::telemetry::Level;

/// Everything that is measured, and who counts and tells.
pub(super) struct Measures {
    sampling: Option<(Sampler, Seen)>,
    ingest: Ingest,
    business: Business,
    observed: Arc<Observed>,
    alerting: alerts::Task,
    alerts: Alerts,
}

impl Measures {
    /// Ready to run, with what is kept from before. Reads the files that receivers of alerts need.
    pub(super) fn new(config: &Config, registry: &Registry, opened: &Opened) -> anyhow::Result<Self> {
        let stored = || (opened.store.clone(), opened.reader.clone());
        let (business, ingest, observed) = Business::new(&config.business, registry, stored(), opened.key)?;
        let receivers = Receivers::new(&config.alerts)?;
        let (alerting, alerts) =
            alerts::Task::new(&config.alerts, registry, (opened.store.clone(), &opened.reader), receivers)?;
        let sampling = config.metrics.enabled.then(|| {
            let hour = control::millis(clock::wall()) / 3_600_000;
            let levels =
                Levels::new(config.service_levels.clone(), &opened.reader.service_levels(hour - 720)?);
            anyhow::Ok(Sampler::new(&config.metrics, levels, registry, opened.store.clone(), Vec::new())?)
        });
        Ok(Self { sampling: sampling.transpose()?, ingest, business, observed, alerting, alerts })
    }

    /// Who counts requests, where a rule counts any.
    pub(super) fn counter(&self, config: &Config) -> Option<Arc<dyn Watcher>> {
        (!config.business.rules.is_empty()).then(|| Arc::clone(&self.observed) as _)
    }

    /// Whom rooms tell of what happens.
    pub(super) fn teller(&self) -> Teller {
        self.alerts.teller()
    }

    /// What the API shows of it.
    pub(super) fn shown(&self, level: Level) -> Monitoring {
        let seen = self.sampling.as_ref().map(|(_, seen)| seen.clone());
        Monitoring { seen, business: self.business.clone(), alerts: self.alerts.clone(), level }
    }

    /// The daemon's own metrics, registered.
    pub(super) fn of_daemon(
        &self,
        registry: &Registry,
        control: &Control,
        store: &store::Store,
    ) -> Result<Histogram, prometheus::Error> {
        let (control, counters, business) =
            (control.clone(), store.counters().clone(), self.business.clone());
        let queue = |name, capacity, waiting| Queue { name, capacity, waiting };
        let queues = vec![
            queue("business", Business::CAPACITY, Box::new(move || business.waiting())),
            queue("control", control::QUEUE, Box::new(move || control.waiting())),
            queue(
                "store",
                store::QUEUE,
                Box::new(move || usize::try_from(counters.waiting()).unwrap_or(usize::MAX)),
            ),
        ];
        daemon::register(registry, queues)
    }

    /// Runs it all until `release`.
    pub(super) fn spawn(
        self,
        lifecycle: &mut Lifecycle,
        late: Histogram,
        hold: &mpsc::Sender<Infallible>,
        release: &CancellationToken,
    ) {
        lifecycle.spawn("business", tasks::held(hold.clone(), self.ingest.run(release.clone())));
        let stop = release.clone();
        lifecycle.spawn("delay", async move {
            daemon::watch_loop(late, stop).await;
            Ok(())
        });
        // Where nobody looks there is nothing to judge.
        if let Some((sampler, seen)) = self.sampling {
            lifecycle.spawn("measures", tasks::held(hold.clone(), sampler.run(release.clone())));
            let judging = self.alerting.run(seen.readings, release.clone());
            lifecycle.spawn("alerts", tasks::held(hold.clone(), judging));
        }
    }
}
