//! The section `feeds`: which lists, how often, and what comes of being on one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Lists of others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The lists. Default none.
    pub lists: Vec<Feed>,
}

/// One list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// What it is called in the API, the metrics and the logs: letters, digits and dashes.
    pub name: String,
    /// Where it is: `https://…`; `http://` only on a loopback address. A `file:///…` is read from the disk.
    pub url: String,
    /// How it is written. Default `auto`.
    #[serde(default)]
    pub format: Format,
    /// Of a CSV, the column with the addresses: its title, or its number from 1. Default the first that
    /// holds one.
    #[serde(default)]
    pub column: Option<String>,
    /// What comes of being on it. Default `log`.
    #[serde(default)]
    pub action: Action,
    /// How bad a source on it is, 0 to 1, where it is weighed. Default 0.7.
    #[serde(default = "Feed::default_weight")]
    pub weight: f64,
    /// Seconds between two fetches, 600 or more. Default 86400.
    #[serde(default = "Feed::default_every")]
    pub every_secs: u64,
    /// The share of all IPv4 addresses that it may cover, 0 to 1. Default 0.05.
    #[serde(default = "Feed::default_share")]
    pub max_share: f64,
    /// Entries at the most. Default 2000000.
    #[serde(default = "Feed::default_entries")]
    pub max_entries: usize,
    /// Bytes at the most, unpacked. Default 64 MiB.
    #[serde(default = "Feed::default_bytes")]
    pub max_bytes: usize,
    /// Fetched with the key of `reputation.abuseipdb`, as its blacklist is; counts against
    /// `reputation.abuseipdb.blacklists_per_day`. Default false.
    #[serde(default)]
    pub abuseipdb: bool,
}

/// How a list is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As it looks.
    #[default]
    Auto,
    /// A JSON object a line (Spamhaus DROP).
    Ndjson,
    /// One JSON value.
    Json,
    /// An address, a prefix or a range a line, and comments (`FireHOL` netset, Tor exits, Emerging Threats).
    Plain,
    /// Comma-separated.
    Csv,
}

/// What comes of being on a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Every packet of the source is dropped.
    Ban,
    /// It is a term of the score.
    Weigh,
    /// It is counted.
    #[default]
    Log,
}

impl Action {
    /// The action's name in the API and the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Weigh => "weigh",
            Self::Log => "log",
        }
    }
}

/// Lists at the most: each has series of its own.
const MAX_LISTS: usize = 64;
/// Bytes of a list at the most.
const MAX_BYTES: usize = 1 << 30;
/// Entries of a list at the most.
const MAX_ENTRIES: usize = 20_000_000;

impl Feed {
    fn default_weight() -> f64 {
        0.7
    }

    fn default_every() -> u64 {
        86_400
    }

    fn default_share() -> f64 {
        0.05
    }

    fn default_entries() -> usize {
        2_000_000
    }

    fn default_bytes() -> usize {
        64 << 20
    }

    /// A list of this name at `url`, and everything else by default.
    pub fn new(name: &str, url: &str, action: Action) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            format: Format::Auto,
            column: None,
            action,
            weight: Self::default_weight(),
            every_secs: Self::default_every(),
            max_share: Self::default_share(),
            max_entries: Self::default_entries(),
            max_bytes: Self::default_bytes(),
            abuseipdb: false,
        }
    }

    fn problem(&self) -> Option<String> {
        let is_name = (1..=40).contains(&self.name.len())
            && self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name {
            return Some(format!(
                "`{}` is no name: write letters, digits and dashes",
                self.name.escape_debug()
            ));
        }
        let name = &self.name;
        if !(0.0..=1.0).contains(&self.weight) {
            return Some(format!("{name}: the weight {} is not between 0 and 1", self.weight));
        }
        if !(self.max_share > 0.0 && self.max_share <= 1.0) {
            return Some(format!("{name}: max_share {} is not above 0 and up to 1", self.max_share));
        }
        if !(600..=30 * 86_400).contains(&self.every_secs) {
            return Some(format!(
                "{name}: every_secs {} is not between 600 and 2592000: publishers shut out who asks too often",
                self.every_secs
            ));
        }
        if self.url.contains("spamhaus.org") && self.every_secs < 3600 {
            return Some(format!("{name}: Spamhaus shuts out who asks more often than once in an hour"));
        }
        if !(1..=MAX_ENTRIES).contains(&self.max_entries) || !(1..=MAX_BYTES).contains(&self.max_bytes) {
            return Some(format!(
                "{name}: max_entries is between 1 and {MAX_ENTRIES}, and max_bytes between 1 and {MAX_BYTES}"
            ));
        }
        None
    }
}

impl Config {
    /// What is wrong with this section, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        const KEY: &str = "feeds.lists";
        if self.lists.len() > MAX_LISTS {
            return Some((KEY, format!("{} lists are more than {MAX_LISTS}", self.lists.len())));
        }
        let mut names = BTreeSet::new();
        for feed in &self.lists {
            if let Some(what) = feed.problem() {
                return Some((KEY, what));
            }
            if !names.insert(feed.name.to_ascii_lowercase()) {
                return Some((KEY, format!("`{}` is the name of two lists", feed.name)));
            }
        }
        None
    }

    /// Whether any list bans.
    pub fn bans(&self) -> bool {
        self.lists.iter().any(|feed| feed.action == Action::Ban)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_make_no_sense_are_named() {
        let good = Feed::new("drop", "https://lists.example/drop.json", Action::Ban);
        let config = |feed: Feed| Config { lists: vec![feed] };
        assert_eq!(config(good.clone()).problem(), None);
        for (feed, told) in [
            (Feed { name: "a b".to_owned(), ..good.clone() }, "is no name"),
            (Feed { weight: f64::NAN, ..good.clone() }, "weight"),
            (Feed { max_share: 0.0, ..good.clone() }, "max_share"),
            (Feed { every_secs: 5, ..good.clone() }, "every_secs"),
            (Feed { max_entries: 0, ..good.clone() }, "max_entries"),
        ] {
            let (key, what) = config(feed).problem().unwrap();
            assert!(key == "feeds.lists" && what.contains(told), "{what}");
        }
        let hasty = Feed { url: "https://www.spamhaus.org/x".to_owned(), every_secs: 900, ..good.clone() };
        assert!(config(hasty).problem().is_some());
        assert!(Config { lists: vec![good.clone(), good] }.problem().is_some());
    }
}
