//! The section `[log]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// What is logged, how, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The least severe level that is logged, or directives such as `info,gateway=debug`, by room.
    pub level: String,
    /// `text` or `json`.
    pub format: Format,
    /// Whether lines go to standard error, where the service manager keeps them.
    pub stderr: bool,
    /// Whether they go to journald as entries with fields.
    pub journald: bool,
    /// A file that they go to as well.
    pub file: Option<File>,
    /// Every decision and incident.
    pub security: Security,
    /// Requests that took long.
    pub performance: Performance,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: Format::Text,
            stderr: true,
            journald: false,
            file: None,
            security: Security::default(),
            performance: Performance::default(),
        }
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

/// A file that is begun anew when it is large or old; those before it are kept for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where. Older ones beside it: `.1` is the one before, and so on.
    pub path: PathBuf,
    /// At how many bytes it is begun anew.
    #[serde(default = "File::default_bytes")]
    pub rotate_bytes: u64,
    /// After how many seconds it is begun anew.
    #[serde(default = "File::default_secs")]
    pub rotate_secs: u64,
    /// How many older ones are kept.
    #[serde(default = "File::default_keep")]
    pub keep: u32,
}

impl File {
    fn default_bytes() -> u64 {
        64 << 20
    }

    fn default_secs() -> u64 {
        86_400
    }

    fn default_keep() -> u32 {
        14
    }

    fn problem(&self) -> Option<String> {
        if !self.path.is_absolute() {
            return Some(format!("`{}` is no absolute path", self.path.display()));
        }
        if self.path.file_name().is_none() {
            return Some(format!("`{}` names no file", self.path.display()));
        }
        if self.rotate_bytes < 4096 {
            return Some(format!("rotate_bytes = {} is less than 4096", self.rotate_bytes));
        }
        if self.rotate_secs < 60 {
            return Some(format!("rotate_secs = {} is less than 60", self.rotate_secs));
        }
        if self.keep > 1000 {
            return Some(format!("keep = {} is more than 1000", self.keep));
        }
        None
    }
}

/// Where every decision and incident is logged; nowhere by default, they are in the store all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// The form of a line.
    pub format: StreamFormat,
    /// A file of their own.
    pub file: Option<File>,
    /// A syslog server, by RFC 5424.
    pub syslog: Option<Syslog>,
}

/// The form of a line about security or performance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamFormat {
    /// One JSON object.
    #[default]
    Json,
    /// Common Event Format, for what gathers events of many hosts.
    Cef,
}

/// A syslog server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Syslog {
    /// `unix:/dev/log`, `udp:192.0.2.1:514` or `tcp:192.0.2.1:601`.
    pub address: String,
}

/// Where a syslog server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Unix(PathBuf),
    Udp(SocketAddr),
    Tcp(SocketAddr),
}

impl Syslog {
    pub(super) fn place(&self) -> Option<Place> {
        match self.address.split_once(':')? {
            ("unix", path) if path.starts_with('/') => Some(Place::Unix(path.into())),
            ("udp", address) => address.parse().ok().map(Place::Udp),
            ("tcp", address) => address.parse().ok().map(Place::Tcp),
            _ => None,
        }
    }
}

/// Where requests that took long are logged; nowhere by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Performance {
    /// From how many milliseconds on a request took long.
    pub slower_than_ms: u64,
    /// The file.
    pub file: Option<File>,
}

impl Default for Performance {
    fn default() -> Self {
        Self { slower_than_ms: 2000, file: None }
    }
}

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if let Some(what) = self.level_problem() {
            return Some(("log.level", what));
        }
        let files = [
            ("log.file", self.file.as_ref()),
            ("log.security.file", self.security.file.as_ref()),
            ("log.performance.file", self.performance.file.as_ref()),
        ];
        for (number, (key, file)) in files.iter().enumerate() {
            let Some(file) = file else { continue };
            if let Some(what) = file.problem() {
                return Some((key, what));
            }
            let twice =
                files.iter().take(number).find(|(_, other)| other.is_some_and(|o| o.path == file.path));
            if let Some((other, _)) = twice {
                return Some((key, format!("`{}` is {other}'s already", file.path.display())));
            }
        }
        let syslog = self.security.syslog.as_ref().filter(|syslog| syslog.place().is_none())?;
        let address = &syslog.address;
        Some((
            "log.security.syslog.address",
            format!("`{address}` is no place; try unix:/dev/log, udp:192.0.2.1:514 or tcp:192.0.2.1:601"),
        ))
    }

    /// What is wrong with its level, if anything.
    pub(super) fn level_problem(&self) -> Option<String> {
        if self.level.len() > LONGEST_LEVEL {
            return Some(format!("a level has up to {LONGEST_LEVEL} bytes"));
        }
        let error = EnvFilter::builder().parse(self.directives()).err()?;
        let level = self.level.escape_debug();
        Some(format!("`{level}` is no level: {error}; try error, warn, info, debug or trace"))
    }

    /// What passes to the lines for people.
    pub(super) fn filter(&self) -> EnvFilter {
        EnvFilter::builder().parse_lossy(self.directives())
    }

    /// The directives, with rooms by their own names: `gateway=debug` is `skyshield::gateway=debug`.
    fn directives(&self) -> String {
        let whole = |directive: &str| {
            let room = directive.split(['=', ':', '[']).next().unwrap_or_default();
            let is_room = directive.contains('=') && !room.is_empty() && room != "skyshield";
            let known = ["error", "warn", "info", "debug", "trace", "off"].contains(&room);
            if is_room && !known && ROOMS.contains(&room) {
                format!("skyshield::{directive}")
            } else {
                directive.to_owned()
            }
        };
        self.level.split(',').map(|directive| whole(directive.trim())).collect::<Vec<_>>().join(",")
    }
}

/// Bytes of a level with all its directives.
const LONGEST_LEVEL: usize = 2000;
/// The rooms that a directive may name by themselves.
const ROOMS: &[&str] = &[
    "alerts",
    "api",
    "app",
    "control",
    "dataplane",
    "engine",
    "exceptions",
    "forward_auth",
    "gateway",
    "geoip",
    "host",
    "indicators",
    "inspect",
    "lifecycle",
    "limits",
    "monitor",
    "rehearsal",
    "reputation",
    "response",
    "routes",
    "store",
    "tap",
    "telemetry",
    "verdict",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(level: &str) -> Option<(&'static str, String)> {
        Config { level: level.to_owned(), ..Config::default() }.problem()
    }

    #[test]
    fn a_room_is_named_by_itself() {
        let config = Config { level: "warn, gateway=debug,hyper=info".to_owned(), ..Config::default() };
        assert_eq!(config.directives(), "warn,skyshield::gateway=debug,hyper=info");
        assert!(problem("warn,gateway=debug").is_none());
        assert_eq!(problem("lou=d").unwrap().0, "log.level");
    }

    #[test]
    fn a_place_of_syslog_is_one_of_three() {
        let place = |address: &str| Syslog { address: address.to_owned() }.place();
        assert_eq!(place("unix:/dev/log"), Some(Place::Unix("/dev/log".into())));
        assert!(matches!(place("udp:127.0.0.1:514"), Some(Place::Udp(_))));
        assert!(matches!(place("tcp:[::1]:601"), Some(Place::Tcp(_))));
        for wrong in ["", "dev/log", "unix:dev/log", "udp:localhost", "tls:127.0.0.1:6514"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn two_streams_do_not_share_a_file() {
        let file =
            |path: &str| Some(File { path: path.into(), rotate_bytes: 4096, rotate_secs: 60, keep: 0 });
        let mut config = Config { file: file("/a"), ..Config::default() };
        config.security.file = file("/a");
        assert_eq!(config.problem().unwrap().0, "log.security.file");
        config.security.file = file("b");
        assert!(config.problem().unwrap().1.contains("absolute"));
        config.security.file = file("/b");
        assert_eq!(config.problem(), None);
    }
}
