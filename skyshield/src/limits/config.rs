//! The classes of requests, and how many of each a source or user may send.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::per_source::{self, PerSource};
use super::user::UserKey;
use crate::engine::source::Source;
use crate::routes::Pattern;

/// The section `limits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Config {
    /// Whether requests are limited at all. Default true.
    pub enabled: bool,
    /// Sources and users that are remembered at a time, at 16 bytes each. Where their place is full,
    /// the one whose quota is whole again soonest is forgotten. Default 1000000.
    pub tracked: usize,
    /// The prefix of IPv4 that counts as one source. Default 32.
    pub v4_prefix: u8,
    /// The prefix of IPv6 that counts as one source. Default 64.
    pub v6_prefix: u8,
    /// Sources that are never limited. Default none.
    pub exempt: Vec<Source>,
    /// Where a request says who its user is, for classes that count by user.
    pub user: UserKey,
    /// What one source may do whatever it asks for.
    pub per_source: PerSource,
    /// The classes by name. `chart`, `auth`, `api` and `default` are always there and are tried in
    /// this order; others are tried before them, in the order of their names.
    pub classes: BTreeMap<String, Class>,
}

/// Which requests a class takes, and how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Paths: `*` is any part of one segment, `**` any number of segments. Case does not count.
    pub paths: Vec<String>,
    /// Methods; none is all.
    pub methods: Vec<String>,
    /// What a page loads beside itself: GET and HEAD of names that end so are not counted.
    pub except_extensions: Vec<String>,
    /// Requests in a window; 0 is no limit.
    pub requests: u32,
    /// The window, in seconds.
    pub window_secs: u32,
    /// Who has a quota of his own.
    pub by: By,
}

/// Who has a quota of his own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Each source.
    #[default]
    Source,
    /// Each user; a request that names none counts for its source.
    User,
    /// Each source, and each user too.
    Both,
}

/// The section as it is written: what is left out keeps its default, class by class.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    enabled: Option<bool>,
    tracked: Option<usize>,
    v4_prefix: Option<u8>,
    v6_prefix: Option<u8>,
    exempt: Option<Vec<Source>>,
    user: Option<UserKey>,
    per_source: Option<PerSource>,
    #[serde(default)]
    classes: BTreeMap<String, WrittenClass>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenClass {
    paths: Option<Vec<String>>,
    methods: Option<Vec<String>>,
    except_extensions: Option<Vec<String>>,
    requests: Option<u32>,
    window_secs: Option<u32>,
    by: Option<By>,
}

impl From<Written> for Config {
    fn from(written: Written) -> Self {
        let defaults = Self::default();
        let mut classes = defaults.classes;
        for (name, written) in written.classes {
            let class = classes.remove(&name).unwrap_or_default();
            let class = Class {
                paths: written.paths.unwrap_or(class.paths),
                methods: written.methods.unwrap_or(class.methods),
                except_extensions: written.except_extensions.unwrap_or(class.except_extensions),
                requests: written.requests.unwrap_or(class.requests),
                window_secs: written.window_secs.unwrap_or(class.window_secs),
                by: written.by.unwrap_or(class.by),
            };
            classes.insert(name, class);
        }
        Self {
            enabled: written.enabled.unwrap_or(defaults.enabled),
            tracked: written.tracked.unwrap_or(defaults.tracked),
            v4_prefix: written.v4_prefix.unwrap_or(defaults.v4_prefix),
            v6_prefix: written.v6_prefix.unwrap_or(defaults.v6_prefix),
            exempt: written.exempt.unwrap_or(defaults.exempt),
            per_source: written.per_source.unwrap_or(defaults.per_source),
            user: written.user.unwrap_or(defaults.user),
            classes,
        }
    }
}

impl Default for Class {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            methods: Vec::new(),
            except_extensions: Vec::new(),
            requests: 0,
            window_secs: 3600,
            by: By::default(),
        }
    }
}

/// Words that paths of logging in begin with.
const AUTH_WORDS: [&str; 13] = [
    "login",
    "log-in",
    "wp-login",
    "signin",
    "sign-in",
    "register",
    "registration",
    "signup",
    "sign-up",
    "password",
    "reset-password",
    "forgot-password",
    "token",
];
/// What browsers fetch for a page on their own.
const ASSETS: [&str; 22] = [
    "css",
    "js",
    "mjs",
    "map",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "avif",
    "ico",
    "bmp",
    "woff",
    "woff2",
    "ttf",
    "otf",
    "eot",
    "mp4",
    "webm",
    "mp3",
    "webmanifest",
];

impl Default for Config {
    fn default() -> Self {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let api = Class { paths: owned(&["/api/**"]), requests: 100, ..Class::default() };
        // A login page may be looked at more often than it may be tried.
        let auth = Class {
            paths: AUTH_WORDS.iter().map(|word| format!("/**/{word}*/**")).collect(),
            methods: owned(&["POST", "PUT", "PATCH"]),
            requests: 5,
            window_secs: 300,
            ..Class::default()
        };
        let chart = Class {
            paths: owned(&["/api/**/charts/**"]),
            methods: owned(&["POST"]),
            requests: 10,
            ..Class::default()
        };
        let default = Class {
            paths: owned(&["/**"]),
            except_extensions: owned(&ASSETS),
            requests: 1000,
            ..Class::default()
        };
        let classes = [("api", api), ("auth", auth), ("chart", chart), ("default", default)];
        Self {
            enabled: true,
            tracked: 1_000_000,
            v4_prefix: 32,
            v6_prefix: 64,
            exempt: Vec::new(),
            user: UserKey::default(),
            per_source: PerSource::default(),
            classes: classes.into_iter().map(|(name, class)| (name.to_owned(), class)).collect(),
        }
    }
}

/// The classes that are always there, in the order they are tried.
const KNOWN: [&str; 4] = ["chart", "auth", "api", "default"];
/// Classes at the most: each is a label of a metric.
const MAX_CLASSES: usize = 32;

impl Config {
    /// What is wrong with this section, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if !(1..=32).contains(&self.v4_prefix) {
            return Some(("limits.v4_prefix", format!("{} is not between 1 and 32", self.v4_prefix)));
        }
        if !(1..=128).contains(&self.v6_prefix) {
            return Some(("limits.v6_prefix", format!("{} is not between 1 and 128", self.v6_prefix)));
        }
        if !(1024..=1 << 30).contains(&self.tracked) {
            return Some(("limits.tracked", format!("{} is not between 1024 and {}", self.tracked, 1 << 30)));
        }
        if self.classes.len() > MAX_CLASSES {
            return Some(("limits.classes", format!("there are more than {MAX_CLASSES}")));
        }
        let named = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        if let Some(problem) = self.per_source.problem() {
            return Some(problem);
        }
        for (name, class) in &self.classes {
            if per_source::NAMES.contains(&name.as_str()) {
                return Some((
                    "limits.classes",
                    format!("`{name}` is the name of another limit; take a new one"),
                ));
            }
            if !named(name) || name.is_empty() {
                return Some((
                    "limits.classes",
                    format!("`{name}` is not lower-case letters, digits and `_`"),
                ));
            }
            if let Some(path) = class.paths.iter().find(|path| Pattern::parse(path).is_none()) {
                return Some((
                    "limits.classes",
                    format!("{name}: the path `{path}` does not begin with `/`"),
                ));
            }
            if class.window_secs == 0 {
                return Some(("limits.classes", format!("{name}: window_secs is 0")));
            }
        }
        self.user.problem()
    }

    /// The classes in the order they are tried.
    pub fn in_order(&self) -> impl Iterator<Item = (&str, &Class)> {
        let own = self.classes.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
        let known = KNOWN.iter().filter_map(|&name| self.classes.get_key_value(name));
        own.chain(known).map(|(name, class)| (name.as_str(), class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_a_class_keeps_its_default() {
        let text =
            "v6_prefix = 56\n[classes.api]\nrequests = 7\n[classes.upload]\npaths = ['/up']\nrequests = 1\n";
        let config: Config = toml::from_str(text).unwrap();
        let mut expected = Config { v6_prefix: 56, ..Config::default() };
        expected.classes.get_mut("api").unwrap().requests = 7;
        let upload = Class { paths: vec!["/up".to_owned()], requests: 1, ..Class::default() };
        expected.classes.insert("upload".to_owned(), upload);
        assert_eq!(config, expected);
        let order: Vec<_> = config.in_order().map(|(name, _)| name).collect();
        assert_eq!(order, ["upload", "chart", "auth", "api", "default"]);
    }

    #[test]
    fn the_defaults_survive_being_written_and_read_and_nonsense_is_named() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
        assert_eq!(Config::default().problem(), None);
        for (text, key) in [
            ("v4_prefix = 0", "limits.v4_prefix"),
            ("tracked = 1", "limits.tracked"),
            ("[classes.api]\npaths = ['api']", "limits.classes"),
            ("[classes.api]\nwindow_secs = 0", "limits.classes"),
            ("[classes.'A B']\nrequests = 1", "limits.classes"),
            ("[classes.bytes]\nrequests = 1", "limits.classes"),
            ("[per_source]\nwindow_secs = 0", "limits.per_source.window_secs"),
            ("[user]\njwt_claim = 'sub'", "limits.user.jwt_claim"),
        ] {
            let config: Config = toml::from_str(text).unwrap();
            assert_eq!(config.problem().map(|(key, _)| key), Some(key), "{text}");
        }
        assert!(toml::from_str::<Config>("[classes.api]\nrequest = 1").is_err());
    }
}
