//! The configuration: one file, every section owned by its room, nothing unknown let through.

mod problem;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::risk;
use crate::{api, dataplane, gateway, host, inspect, limits, store, telemetry};

pub use problem::Problem;

/// Where the configuration is looked for when no other place is named.
pub const DEFAULT_PATH: &str = "/etc/skyshield/skyshield.toml";

/// The whole configuration. Every key has a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The kernel side: interface, sizes, the rate per source.
    pub dataplane: dataplane::Config,
    /// The reverse proxy: listeners, upstream, limits, headers.
    pub gateway: gateway::Config,
    /// How many requests of each class a source or user may send.
    pub limits: limits::Config,
    /// How much of a request is inspected.
    pub inspect: inspect::Limits,
    /// Where scores turn into acts.
    pub risk: risk::Config,
    /// Whom no decision may cut off.
    pub never_ban: host::Config,
    /// What outlives the daemon.
    pub store: store::Config,
    /// Who may operate it, and from where.
    pub api: api::Config,
    /// What is logged.
    pub log: telemetry::Config,
}

/// Why there is no configuration to go by.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: cannot be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Whoever may write the file would be root.
    #[error("{path}: {what}; run `chown root {path} && chmod go-w {path}`", path = path.display())]
    Writable {
        /// The file.
        path: PathBuf,
        /// Who may write it.
        what: &'static str,
    },
    /// Something in it is wrong.
    #[error("{path}:{problem}", path = path.display())]
    Problem {
        /// The file.
        path: PathBuf,
        /// Where, what, and how to mend it.
        problem: Problem,
    },
}

/// The configuration in `path`, checked; the defaults where no file is named and none is in the
/// default place.
pub fn load(path: Option<&Path>) -> Result<Config, Error> {
    let default = Path::new(DEFAULT_PATH);
    let path = match path {
        Some(path) => path,
        None if default.exists() => default,
        None => return Ok(Config::default()),
    };
    let read = |source| Error::Read { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(read)?;
    if nix::unistd::geteuid().is_root() {
        let metadata = std::fs::metadata(path).map_err(read)?;
        let what = match metadata {
            file if file.uid() != 0 => Some("the daemon runs as root and the file is not root's"),
            file if file.mode() & 0o022 != 0 => Some("the daemon runs as root and others may write the file"),
            _ => None,
        };
        if let Some(what) = what {
            return Err(Error::Writable { path: path.to_owned(), what });
        }
    }
    parse(&text).map_err(|problem| Error::Problem { path: path.to_owned(), problem })
}

/// The configuration that `text` says, checked.
pub fn parse(text: &str) -> Result<Config, Problem> {
    let config: Config = toml::from_str(text).map_err(|error| Problem::of_toml(text, &error))?;
    match config.problem() {
        Some((key, what)) => Err(Problem::of_key(text, key, &what)),
        None => Ok(config),
    }
}

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        self.risk
            .problem()
            .or_else(|| self.gateway.problem())
            .or_else(|| self.limits.problem())
            .or_else(|| self.api.problem())
            .or_else(|| self.log.problem())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn the_defaults_written_out_are_read_back() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(parse(&text).unwrap(), Config::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_its_cure() {
        for (text, told) in [
            ("[risk]\nrefuze = 0.8\n", "2:1: unknown key `refuze`; did you mean `refuse`?"),
            ("[rsk]\n", "1:2: unknown key `rsk`; did you mean `risk`?"),
            ("[risk]\nrefuse = \"high\"\n", "2:10: invalid type: string \"high\", expected f64"),
            ("\n[risk]\nban = 0.95\nrefuse = 1.8\n", "4: risk.refuse: 1.8 is not between 0 and 1"),
            ("[risk]\nban = 0.1\n", "2: risk.ban: 0.1 is below risk.refuse (0.8): a ban is the stronger act"),
            (
                "[never_ban]\nallow = [\"10.0.0.300\"]\n",
                "2:9: `10.0.0.300` is neither an address nor a prefix",
            ),
            ("[log]\nlevel = \"lou=d\"\n", "2: log.level: `lou=d` is no level"),
            ("risk = 1\n", "1:8: invalid type: integer `1`, expected struct Config"),
            ("[risk\n", "1:6: "),
        ] {
            let problem = parse(text).unwrap_err().to_string();
            assert!(problem.starts_with(told), "{text:?}\n  told {problem}\n  not  {told}");
        }
    }
}
