//! Logs: lines for people or JSON for programs, to standard error, where the service manager keeps them.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// What is logged and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The least severe level that is logged, or directives such as `info,skyshield::gateway=debug`.
    pub level: String,
    /// `text` or `json`.
    pub format: Format,
}

impl Default for Config {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: Format::Text }
    }
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let error = EnvFilter::builder().parse(&self.level).err()?;
        Some((
            "log.level",
            format!("`{}` is no level: {error}; try error, warn, info, debug or trace", self.level),
        ))
    }
}

/// Changes what is logged while the daemon runs.
#[derive(Clone, Debug)]
pub struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Logs at `config`'s level from here on.
    pub fn set(&self, config: &Config) {
        // Without a subscriber of ours (a second daemon in one process) there is nothing to change.
        let _not_ours = self.0.reload(EnvFilter::builder().parse_lossy(&config.level));
    }
}

/// Sends every log line to standard error from here on.
pub fn init(config: &Config) -> Level {
    let (filter, level) = reload::Layer::new(EnvFilter::builder().parse_lossy(&config.level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let logs = Registry::default().with(filter);
    // A second daemon in one process (as in tests) keeps the first one's logs.
    let _second = match config.format {
        Format::Text => logs.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init().is_err(),
        Format::Json => logs.with(lines.json().flatten_event(true)).try_init().is_err(),
    };
    Level(level)
}
