//! The task that looks: at the host, at the metrics page, at service levels; and keeps what it saw.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::collector::{LastLook, Pulled};
use super::config::Config;
use super::family::{Family, Kind};
use super::history::Minute;
use super::host::{Host, Vitals};
use super::levels::{Level, Levels};
use super::traffic::{self, Rates, Sites};
use crate::clock;
use crate::engine::reading::{Reading, Readings};
use crate::store::{Kept, Record, Store};

/// How often what is too old is deleted.
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// What was seen last, for whoever asks.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Every reading.
    pub readings: watch::Receiver<Arc<Readings>>,
    /// How every site stands by its service levels.
    pub levels: Arc<ArcSwap<Vec<Level>>>,
}

/// Further readings, from whoever has some.
pub type MoreReadings = Box<dyn Fn() -> Vec<Reading> + Send + Sync>;

/// The task's state.
pub struct Sampler {
    config: Config,
    registry: Registry,
    store: Store,
    last_look: LastLook,
    levels: Levels,
    told: Arc<ArcSwap<Vec<Level>>>,
    readings: watch::Sender<Arc<Readings>>,
    more: Vec<MoreReadings>,
    before: Before,
}

/// What was seen at the last look.
#[derive(Default)]
struct Before {
    host: Option<(Host, Instant)>,
    vitals: Vitals,
    page_at: Option<Instant>,
    rates: Rates,
    sites: Sites,
    minute: Minute,
    pruned_at: Option<Instant>,
}

impl Sampler {
    /// A sampler that reads `registry`, and tells there of the host and of service levels.
    pub fn new(
        config: &Config,
        levels: Levels,
        registry: &Registry,
        store: Store,
        more: Vec<MoreReadings>,
    ) -> Result<(Self, Seen), prometheus::Error> {
        let last_look = LastLook::default();
        registry.register(Box::new(last_look.collector()?))?;
        let told = Arc::<ArcSwap<Vec<Level>>>::default();
        let shown = Arc::clone(&told);
        registry.register(Box::new(Pulled::new("skyshield_slo_burn_rate", move || show(&shown.load()))?))?;
        let (readings, seen) = watch::channel(Arc::default());
        let seen = Seen { readings: seen, levels: Arc::clone(&told) };
        let (config, registry) = (config.clone(), registry.clone());
        let before = Before::default();
        Ok((Self { config, registry, store, last_look, levels, told, readings, more, before }, seen))
    }

    /// Looks until `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut period = tokio::time::interval(self.config.tick());
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = period.tick() => {}
            }
            // The kernel may take its time, and a page of metrics is some work: not on a task that serves.
            self = tokio::task::spawn_blocking(move || {
                self.look();
                self
            })
            .await?;
        }
    }

    fn look(&mut self) {
        let now = clock::now();
        let wall = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_secs = wall.as_secs().cast_signed();
        let half_a_tick = self.config.tick() / 2;
        let due =
            self.before.host.as_ref().is_none_or(|(_, at)| *at + self.config.interval() <= now + half_a_tick);
        if due {
            self.look_at_host(now);
        }
        let readings = Arc::new(Readings::new(self.read_page(now, wall_secs)));
        self.keep(&readings, now, wall_secs);
        self.readings.send_replace(readings);
    }

    fn look_at_host(&mut self, now: Instant) {
        let host = Host::read();
        let taken = clock::now().saturating_duration_since(now);
        let families = if self.config.node_compat { host.node_families() } else { host.families() };
        self.last_look.renew(&families, taken, clock::wall());
        let last = self.before.host.as_ref();
        let seconds = last.map_or(0.0, |(_, at)| now.saturating_duration_since(*at).as_secs_f64());
        self.before.vitals = Vitals::between(last.map(|(host, _)| host), &host, seconds);
        self.before.host = Some((host, now));
    }

    fn read_page(&mut self, now: Instant, wall_secs: i64) -> Vec<Reading> {
        let page = self.registry.gather();
        let seconds = self.before.page_at.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        self.before.page_at = Some(now);
        let mut all = self.before.vitals.0.clone();
        all.extend(self.before.rates.readings(&page, seconds));
        let sites = traffic::sites(&page);
        let nothing = traffic::Site::default();
        let grown: Sites = sites
            .iter()
            .map(|(name, site)| (name.clone(), site.since(self.before.sites.get(name).unwrap_or(&nothing))))
            .collect();
        self.levels.add(&grown, wall_secs);
        if seconds > 0.0 {
            all.extend(grown.iter().flat_map(|(name, site)| site.readings(name, seconds)));
        }
        self.before.sites = sites;
        let levels = self.levels.state(wall_secs);
        all.extend(levels.iter().flat_map(Level::readings));
        self.told.store(Arc::new(levels));
        all.extend(self.more.iter().flat_map(|more| more()));
        all
    }

    fn keep(&mut self, readings: &Readings, now: Instant, wall_secs: i64) {
        let append = |kept| {
            // Where the store's queue is full, that is counted there; the next minute comes.
            let _counted = self.store.append(Record::Monitoring(Box::new(kept)));
        };
        if let Some(minute) = self.before.minute.add(readings, wall_secs) {
            append(Kept::History(minute));
            append(Kept::Levels(self.levels.rows(wall_secs)));
        }
        if self.before.pruned_at.is_none_or(|at| at + PRUNE_EVERY <= now) {
            self.before.pruned_at = Some(now);
            append(Kept::Prune { now_ms: wall_secs * 1000, history_days: self.config.history_days });
        }
    }
}

/// The service levels as metrics.
fn show(levels: &[Level]) -> Vec<MetricFamily> {
    let labels =
        |level: &Level| vec![("site", level.site.clone()), ("objective", level.objective.to_owned())];
    let burns = levels.iter().flat_map(|level| {
        level.readings().into_iter().filter_map(move |reading| {
            let window = reading.name.strip_prefix("slo_burn_")?.to_owned();
            Some(([labels(level), vec![("window", window)]].concat(), reading.value))
        })
    });
    let left = levels.iter().map(|level| (labels(level), level.budget_left));
    let families = [
        Family::new(
            "skyshield_slo_burn_rate",
            Kind::Gauge,
            "How many times faster than allowed the error budget is spent: fast is the least of 1 h and 5 min, \
             slow of 6 h and 30 min, steady of 3 d and 6 h.",
        )
        .with_all(burns),
        Family::new(
            "skyshield_slo_error_budget_left_ratio",
            Kind::Gauge,
            "What is left of the error budget of 30 days.",
        )
        .with_all(left),
    ];
    families.iter().map(Family::to_proto).collect()
}
