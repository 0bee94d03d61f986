//! The section `response`: when what was seen, then do what.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::engine::indicators::Kind;

/// The class of what the detectors of behaviour claim.
pub const BEHAVIOUR: &str = "behaviour";

/// The operator's rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The rules. Default none.
    pub rules: Vec<Rule>,
}

/// When what was seen, then do what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is called in logs, metrics and the audit log: letters, digits and dashes.
    pub name: String,
    /// What has to be seen.
    pub when: When,
    /// What is done then.
    pub then: Vec<Act>,
    /// Only say what would be done. Default false.
    #[serde(default)]
    pub dry_run: bool,
    /// For so many seconds it is not done again for the same source. Default 300.
    #[serde(default = "default_cooldown")]
    pub cooldown_secs: u64,
}

fn default_cooldown() -> u64 {
    300
}

/// What has to be seen: flagged requests for which all of this is true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// A score of at least this, 0 to 1. Default 0.
    pub score: f64,
    /// A finding of one of these classes (`sqli`, and `behaviour` for what the detectors of behaviour claim),
    /// rules (`sqli.union-select`, `sqli.*`) or detectors (`login.guessing`). Default any.
    pub findings: Vec<String>,
    /// A route of one of these names. Default any.
    pub routes: Vec<String>,
    /// The source, or what its client is like, is an indicator of one of these kinds. Default any.
    pub indicators: Vec<Kind>,
    /// How sure such an indicator has to be, 0 to 1. Default 0.5.
    pub confidence: f64,
    /// So many of one source. Default 1.
    pub count: u32,
    /// Within so many seconds. Default 600.
    pub within_secs: u64,
}

impl Default for When {
    fn default() -> Self {
        Self {
            score: 0.0,
            findings: Vec::new(),
            routes: Vec::new(),
            indicators: Vec::new(),
            confidence: 0.5,
            count: 1,
            within_secs: 600,
        }
    }
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// The source is banned.
    Ban {
        /// For how long, in seconds.
        ttl_secs: u64,
    },
    /// The source's packets are held to a lower rate, until it has been quiet for a while.
    Limit {},
    /// Each request of a class counts as several, whoever sends it.
    Tighten {
        /// The class of `limits`.
        class: String,
        /// As how many, 2 to 100.
        fold: u32,
        /// For how long, in seconds.
        secs: u64,
    },
    /// Of the source only requests of users are let in (`limits.user` says who is one), and those of the
    /// class `auth`.
    RequireLogin {
        /// For how long, in seconds.
        secs: u64,
    },
    /// Somebody is told.
    Notify {},
    /// A program elsewhere is told, by a POST of JSON.
    Webhook {
        /// Where it is: `https://…`; `http://` only on a loopback address.
        url: String,
        /// The file with the secret that the message is signed with (`X-SkyShield-Signature`, HMAC-SHA-256). Default none.
        #[serde(default)]
        secret_file: Option<PathBuf>,
    },
}

impl Act {
    /// The act's name in the metrics and the logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ban { .. } => "ban",
            Self::Limit {} => "limit",
            Self::Tighten { .. } => "tighten",
            Self::RequireLogin { .. } => "require_login",
            Self::Notify {} => "notify",
            Self::Webhook { .. } => "webhook",
        }
    }

    fn problem(&self) -> Option<String> {
        const YEAR: u64 = 365 * 86_400;
        let secs = match self {
            Self::Ban { ttl_secs: secs } | Self::RequireLogin { secs } => Some(*secs),
            Self::Tighten { secs, fold, .. } => {
                if !(2..=100).contains(fold) {
                    return Some(format!("fold {fold} is not between 2 and 100"));
                }
                Some(*secs)
            }
            Self::Limit {} | Self::Notify {} | Self::Webhook { .. } => None,
        };
        secs.filter(|secs| !(1..=YEAR).contains(secs))
            .map(|secs| format!("{}: {secs} seconds are not between 1 and {YEAR}", self.name()))
    }
}

/// Rules at the most: each has series of its own.
const MAX_RULES: usize = 64;
/// Requests that are counted of one source, at the most.
const MAX_COUNT: u32 = 1000;

impl Rule {
    fn problem(&self) -> Option<String> {
        let is_name = (1..=40).contains(&self.name.len())
            && self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name {
            return Some(format!(
                "`{}` is no name: write letters, digits and dashes",
                self.name.escape_debug()
            ));
        }
        let (name, when) = (&self.name, &self.when);
        if !(0.0..=1.0).contains(&when.score) || !(0.0..=1.0).contains(&when.confidence) {
            return Some(format!("{name}: score and confidence are between 0 and 1"));
        }
        if !(1..=MAX_COUNT).contains(&when.count) {
            return Some(format!("{name}: count {} is not between 1 and {MAX_COUNT}", when.count));
        }
        if !(1..=7 * 86_400).contains(&when.within_secs) {
            return Some(format!("{name}: within_secs {} is not between 1 and 604800", when.within_secs));
        }
        if self.cooldown_secs > 7 * 86_400 {
            return Some(format!("{name}: cooldown_secs {} is more than 604800", self.cooldown_secs));
        }
        let is_anything = when.score <= 0.0 && when.findings.is_empty() && when.indicators.is_empty();
        if is_anything && when.count == 1 && when.routes.is_empty() {
            return Some(format!(
                "{name}: it says nothing of when; name a score, findings, indicators or a count"
            ));
        }
        if self.then.is_empty() {
            return Some(format!("{name}: it says nothing of what is to be done"));
        }
        self.then.iter().find_map(Act::problem).map(|what| format!("{name}: {what}"))
    }
}

impl Config {
    /// What is wrong with this section, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        const KEY: &str = "response.rules";
        if self.rules.len() > MAX_RULES {
            return Some((KEY, format!("{} rules are more than {MAX_RULES}", self.rules.len())));
        }
        let mut names = BTreeSet::new();
        for rule in &self.rules {
            if let Some(what) = rule.problem() {
                return Some((KEY, what));
            }
            if !names.insert(&rule.name) {
                return Some((KEY, format!("`{}` is the name of two rules", rule.name)));
            }
        }
        None
    }

    /// The classes of `limits` that rules tighten.
    pub fn tightened(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| &rule.then).filter_map(|act| match act {
            Act::Tighten { class, .. } => Some(class.as_str()),
            Act::Ban { .. }
            | Act::Limit {}
            | Act::RequireLogin { .. }
            | Act::Notify {}
            | Act::Webhook { .. } => None,
        })
    }

    /// Each finding that a rule names, with the rule's name.
    pub fn findings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules
            .iter()
            .flat_map(|rule| rule.when.findings.iter().map(|found| (rule.name.as_str(), found.as_str())))
    }

    /// Each route that a rule names, with the rule's name.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules
            .iter()
            .flat_map(|rule| rule.when.routes.iter().map(|route| (rule.name.as_str(), route.as_str())))
    }

    /// Whether any rule asks sources to log in.
    pub fn requires_login(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.then).any(|act| matches!(act, Act::RequireLogin { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_make_no_sense_are_named() {
        let good = "name = \"a\"\nwhen = { findings = [\"sqli\"], count = 3 }\nthen = [{ act = \"ban\", ttl_secs = 60 }]\n";
        let config = |text: &str| Config { rules: vec![toml::from_str(text).unwrap()] };
        assert_eq!(config(good).problem(), None);
        for (from, to, told) in [
            ("name = \"a\"", "name = \"a b\"", "no name"),
            ("count = 3", "count = 0", "count"),
            ("count = 3", "score = 2.0", "between 0 and 1"),
            ("findings = [\"sqli\"], count = 3", "", "nothing of when"),
            ("ttl_secs = 60", "ttl_secs = 0", "seconds"),
            ("[{ act = \"ban\", ttl_secs = 60 }]", "[]", "nothing of what"),
            (
                "{ act = \"ban\", ttl_secs = 60 }",
                "{ act = \"tighten\", class = \"auth\", fold = 1, secs = 9 }",
                "fold",
            ),
        ] {
            let (key, what) = config(&good.replace(from, to)).problem().unwrap();
            assert!(key == "response.rules" && what.contains(told), "{what}");
        }
        for unknown in ["act = \"explode\"", "act = \"ban\", ttl = 5"] {
            assert!(toml::from_str::<Rule>(&good.replace("act = \"ban\", ttl_secs = 60", unknown)).is_err());
        }
    }
}
