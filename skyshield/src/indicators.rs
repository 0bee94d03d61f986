//! The indicators while the daemon runs: learnt from incidents, kept in the notebook, read by operators.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use prometheus::{IntCounter, IntGaugeVec, Opts, Registry};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::engine::incident::Incident;
use crate::engine::indicators::{Indicator, Kind, Table, Wanted, observe};
use crate::engine::notebook::Notebook;
use crate::engine::view::View;

/// The page of the notebook.
const PAGE: &str = "indicators";
/// Indicators that are taken up from it.
const MAX_RECALLED: usize = 140_000;
/// How often changes are kept, and how many at a time.
const KEEP_EVERY: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 2000;
/// Keepings between two that forget.
const FORGET_AFTER: u32 = 60;
/// Kept for so many half-lives: then they have faded.
const HALF_LIVES: u32 = 7;

/// The handle to the indicators. Clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Indicators(Arc<Mutex<Table>>);

/// What is counted of them.
#[derive(Clone, Debug)]
pub struct Metrics {
    count: IntGaugeVec,
    evicted: IntCounter,
    missed: IntCounter,
}

impl Metrics {
    /// The counters, registered.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            count: IntGaugeVec::new(
                Opts::new("skyshield_indicators", "Threat indicators, by kind"),
                &["kind"],
            )?,
            evicted: IntCounter::new(
                "skyshield_indicators_evicted_total",
                "Threat indicators that were forgotten early, for want of room",
            )?,
            missed: IntCounter::new(
                "skyshield_indicators_missed_total",
                "Incidents that no indicator was learnt from because there were too many at once",
            )?,
        };
        registry.register(Box::new(metrics.count.clone()))?;
        registry.register(Box::new(metrics.evicted.clone()))?;
        registry.register(Box::new(metrics.missed.clone()))?;
        Ok(metrics)
    }
}

impl Indicators {
    /// The indicators that `notebook` keeps. Blocks.
    pub fn recall(notebook: &dyn Notebook) -> Self {
        let indicators = Self::default();
        for kept in notebook.page(PAGE, MAX_RECALLED) {
            if let Ok(indicator) = serde_json::from_str::<Indicator>(&kept.value) {
                indicators.table().recall(indicator);
            }
        }
        indicators
    }

    /// Indicators that a test has made.
    #[cfg(test)]
    pub(crate) fn take_up(&self, table: Table) {
        *self.table() = table;
    }

    /// No holder of the lock can panic half-way through a change.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The indicators that are wanted.
    pub fn page(&self, wanted: &Wanted) -> Vec<Indicator> {
        self.table().page(wanted, clock::wall())
    }

    /// How sure the indicator of this kind and value is now; 0 where there is none.
    pub fn confidence(&self, kind: Kind, value: &str) -> f64 {
        self.table().get(kind, value).map_or(0.0, |indicator| indicator.confidence(clock::wall()))
    }

    /// The same beside `incident`: 0 where nothing else has shown it.
    pub fn confidence_beside(&self, incident: &str, kind: Kind, value: &str) -> f64 {
        let table = self.table();
        let known = table.get(kind, value).filter(|known| known.count > 1 || known.evidence != [incident]);
        known.map_or(0.0, |indicator| indicator.confidence(clock::wall()))
    }

    /// How many there are of each kind.
    pub fn counts(&self) -> Vec<(Kind, usize)> {
        self.table().counts().collect()
    }

    /// Forgets those that `names` says to be of somebody who is to be erased, and how many those were.
    pub fn erase(&self, names: impl Fn(&str) -> bool) -> usize {
        self.table().erase(names)
    }

    /// Learns from `incidents` until `stop`.
    pub async fn learn(
        self,
        mut incidents: broadcast::Receiver<Arc<Incident>>,
        view: Arc<View>,
        notebook: Arc<dyn Notebook>,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut period = tokio::time::interval(KEEP_EVERY);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut kept = 0_u32;
        view.set_suspects(self.table().suspects(clock::wall()));
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    self.keep(notebook.as_ref());
                    return Ok(());
                }
                heard = incidents.recv() => match heard {
                    Ok(incident) => observe(&mut self.table(), &incident, &view.atlas()),
                    Err(broadcast::error::RecvError::Lagged(missed)) => metrics.missed.inc_by(missed),
                    Err(broadcast::error::RecvError::Closed) => stop.cancelled().await,
                },
                _ = period.tick() => {
                    kept = kept.wrapping_add(1);
                    if kept.is_multiple_of(FORGET_AFTER) {
                        self.table().forget(clock::wall());
                    }
                    view.set_suspects(self.table().suspects(clock::wall()));
                    self.keep(notebook.as_ref());
                    self.tell(&metrics);
                }
            }
        }
    }

    fn keep(&self, notebook: &dyn Notebook) {
        let changed = self.table().take_changed(AT_ONCE);
        for ((kind, value), now) in changed {
            let key = format!("{}:{value}", kind.name());
            let Some(indicator) = now else {
                notebook.forget(PAGE, &key);
                continue;
            };
            let last = indicator.last_seen + kind.half_life() * HALF_LIVES;
            let ends = last.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let text = serde_json::to_string(&indicator).unwrap_or_default();
            notebook.note(PAGE, &key, text, Some(i64::try_from(ends).unwrap_or(i64::MAX)));
        }
    }

    fn tell(&self, metrics: &Metrics) {
        let table = self.table();
        for (kind, count) in table.counts() {
            metrics.count.with_label_values(&[kind.name()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        metrics.evicted.inc_by(table.evicted().saturating_sub(metrics.evicted.get()));
    }
}
