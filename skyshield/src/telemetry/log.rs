//! Logs: lines for people or for programs, and streams of their own for what security and performance
//! are about. Whoever logs never waits: a destination that does not keep up loses lines, and counts them.

mod config;
mod escape;
mod lines;
mod metrics;
mod rotate;
mod sink;
mod stream;
mod syslog;

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use super::sentry;
use sink::Sink;
use stream::Stream;

pub use config::Config;
pub use metrics::Collector;
pub use stream::{PERFORMANCE, SECURITY};

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {what}")]
pub struct Error {
    /// The key of the destination.
    pub key: &'static str,
    what: String,
    #[source]
    source: io::Error,
}

impl Error {
    fn new(key: &'static str, what: impl Into<String>, source: io::Error) -> Self {
        Self { key, what: what.into(), source }
    }
}

/// Changes what is logged while the daemon runs. Clones change the same.
#[derive(Clone, Debug)]
pub struct Level {
    filter: reload::Handle<EnvFilter, Registry>,
    said: Arc<ArcSwap<String>>,
}

impl Level {
    /// The filter of `config`'s level, and what changes it.
    pub fn of(config: &Config) -> (reload::Layer<EnvFilter, Registry>, Self) {
        let (layer, filter) = reload::Layer::new(config.filter());
        (layer, Self { filter, said: Arc::new(ArcSwap::from_pointee(config.level.clone())) })
    }

    /// Logs at `config`'s level from here on.
    pub fn set(&self, config: &Config) {
        // Without a subscriber of ours (a second daemon in one process) there is nothing to change.
        let _not_ours = self.filter.reload(config.filter());
        self.said.store(Arc::new(config.level.clone()));
    }

    /// Logs at `level` until the configuration is read again, or says what is wrong with it.
    pub fn change(&self, level: &str) -> Result<(), String> {
        let config = Config { level: level.to_owned(), ..Config::default() };
        match config.level_problem() {
            None => {
                self.set(&config);
                Ok(())
            }
            Some(what) => Err(what),
        }
    }

    /// What is logged now.
    pub fn said(&self) -> Arc<String> {
        self.said.load_full()
    }
}

/// The logs of a daemon that runs. What is still on its way to a destination is written when this is
/// dropped.
#[derive(Debug)]
pub struct Logs {
    level: Level,
    sinks: Vec<Sink>,
}

impl Logs {
    /// Changes what is logged.
    pub fn level(&self) -> Level {
        self.level.clone()
    }

    /// Counts the lines that destinations did not take.
    pub fn collector(&self) -> Result<Collector, prometheus::Error> {
        Collector::new(self.sinks.iter().map(|sink| (sink.name, sink.counts.clone())).collect())
    }
}

/// Sends log lines to the destinations of `config` from here on.
pub fn init(config: &Config) -> Result<Logs, Error> {
    let mut sinks = Vec::new();
    let lines = lines::layers(config, &mut sinks)?;
    let (filter, level) = Level::of(config);
    // What has a stream of its own is not told twice.
    let apart = filter_fn(|metadata| !stream::is_apart(metadata.target()));
    let mut layers: Vec<Boxed> = vec![lines.with_filter(filter.and(apart)).boxed()];
    if let Some(stream) = Stream::security(&config.security, &mut sinks)? {
        layers.push(stream.with_filter(filter_fn(|metadata| metadata.target() == SECURITY)).boxed());
    }
    if let Some(stream) = Stream::performance(&config.performance, &mut sinks)? {
        layers.push(stream.with_filter(filter_fn(|metadata| metadata.target() == PERFORMANCE)).boxed());
    }
    let errors = filter_fn(|metadata| sentry::is_for(metadata.target()));
    layers.push(sentry::errors().with_filter(LevelFilter::ERROR.and(errors)).boxed());
    // A second daemon in one process (as in tests) keeps the first one's logs.
    let _second = Registry::default().with(layers).try_init().is_err();
    Ok(Logs { level, sinks })
}
