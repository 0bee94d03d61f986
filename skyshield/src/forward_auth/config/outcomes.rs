//! Where it is read what became of requests that a proxy let through.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::place::Place;

/// One source of outcomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// How lines come: `file`, an access log that is followed also where it is rotated; `syslog`, lines
    /// that are sent to `listen`; `journal`, what `unit` or `identifier` says in the system's journal; `http`, bodies
    /// of POST requests to `listen`.
    pub from: From,
    /// What the lines look like: `json` (nginx by our snippet, Traefik, Envoy, Caddy), `combined` (nginx,
    /// Apache, Traefik's common format), `traefik`, `envoy` or `haproxy`, each by its proxy's default. Default
    /// `json`.
    #[serde(default)]
    pub format: Format,
    /// What service levels, the dashboard and alerts know these requests by. Default `forward_auth`.
    #[serde(default = "Outcomes::default_site")]
    pub site: String,
    /// The file of `file`. A name without a file is waited for.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Where `syslog` (datagrams) and `http` listen: `unix:/run/skyshield/log.sock` or `127.0.0.1:9467`.
    #[serde(default)]
    pub listen: Option<Place>,
    /// The group that may write to a `unix:` socket, beside root. Default none.
    #[serde(default)]
    pub group: Option<String>,
    /// The unit whose lines `journal` reads.
    #[serde(default)]
    pub unit: Option<String>,
    /// The syslog identifier whose lines `journal` reads.
    #[serde(default)]
    pub identifier: Option<String>,
    /// The directory of the journal's files. Default the system's.
    #[serde(default)]
    pub directory: Option<PathBuf>,
}

/// How lines come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// From a file that grows.
    File,
    /// As datagrams.
    Syslog,
    /// From the system's journal.
    Journal,
    /// As bodies of requests.
    Http,
}

impl From {
    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Syslog => "syslog",
            Self::Journal => "journal",
            Self::Http => "http",
        }
    }
}

/// What lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One object a line, with the names that nginx by our snippet, Traefik, Envoy and Caddy use.
    #[default]
    Json,
    /// The combined log format, or its beginning.
    Combined,
    /// Traefik's common log format.
    Traefik,
    /// Envoy's default format.
    Envoy,
    /// The HTTP log format of `HAProxy`.
    Haproxy,
}

impl Outcomes {
    fn default_site() -> String {
        "forward_auth".to_owned()
    }

    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        const PATH: &str = "forward_auth.outcomes.path";
        const LISTEN: &str = "forward_auth.outcomes.listen";
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=64).contains(&self.site.len()) || !self.site.bytes().all(is_name) {
            let what = format!("`{}` is no name: letters, digits, `-`, `_`, `.`", self.site.escape_debug());
            return Some(("forward_auth.outcomes.site", what));
        }
        match self.from {
            From::File => match &self.path {
                Some(path) if path.is_absolute() => None,
                Some(path) => Some((PATH, format!("`{}` is not absolute", path.display()))),
                None => Some((PATH, "`file` needs the path of the access log".to_owned())),
            },
            From::Syslog | From::Http => match &self.listen {
                None => Some((LISTEN, format!("`{}` needs a place to listen", self.from.name()))),
                // What is told of others may have them banned.
                Some(Place::Address(address)) if !address.ip().is_loopback() => {
                    Some((LISTEN, format!("{address} is not loopback: anybody could tell of anybody")))
                }
                Some(Place::Address(_) | Place::Path(_)) => None,
            },
            From::Journal => {
                let word = self.unit.as_ref().or(self.identifier.as_ref());
                match word {
                    None => {
                        let what = "`journal` needs a `unit` or an `identifier`".to_owned();
                        Some(("forward_auth.outcomes.unit", what))
                    }
                    Some(word) if word.is_empty() || word.starts_with('-') => {
                        Some(("forward_auth.outcomes.unit", format!("`{word}` is no name")))
                    }
                    Some(_) => None,
                }
            }
        }
    }
}
