//! Logs: lines for people or JSON for programs, to standard error, where the service manager keeps them.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

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

/// Sends every log line to standard error from here on.
pub fn init(config: &Config) {
    let filter = EnvFilter::builder().parse_lossy(&config.level);
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second daemon in one process (as in tests) keeps the first one's logs.
    let _second = match config.format {
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init().is_err(),
        Format::Json => lines.json().flatten_event(true).try_init().is_err(),
    };
}
