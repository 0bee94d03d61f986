//! The `[business]` section: what is counted, and which requests count.

use serde::{Deserialize, Serialize};

use crate::routes::{HostPattern, Pattern};

/// Kinds that can be declared.
const MAX_KINDS: usize = 32;
/// Currencies of one kind.
const MAX_CURRENCIES: usize = 16;
/// Rules over requests: as many as a word has bits.
pub(super) const MAX_RULES: usize = 64;

/// What is counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What there is to count.
    pub kinds: Vec<KindConfig>,
    /// Which requests count as what.
    pub rules: Vec<RuleConfig>,
    /// What of one kind becomes another.
    pub conversions: Vec<Conversion>,
}

/// How a kind is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// How often.
    Count,
    /// How much, in minor units of a currency: cents.
    Sum,
    /// How many different users, by a sketch.
    Unique,
}

/// A kind of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindConfig {
    /// Its name: a label of metrics.
    pub name: String,
    /// How it is counted.
    pub kind: Kind,
    /// The currencies of a sum, by their ISO 4217 codes.
    #[serde(default)]
    pub currencies: Vec<String>,
}

/// Requests that count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// What they count as: a kind that is a count, or unique.
    pub kind: String,
    /// Hosts they are for; none is any.
    pub hosts: Vec<String>,
    /// Their methods; none is any.
    pub methods: Vec<String>,
    /// Patterns of their paths, as in routes; none is any.
    pub paths: Vec<String>,
    /// How they were answered: `2xx`, `201`.
    pub statuses: Vec<String>,
    /// The cookie that names the user, where users are counted.
    pub user_cookie: Option<String>,
    /// The header that names the user, where users are counted.
    pub user_header: Option<String>,
}

/// A share: of those who did one thing, how many did another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversion {
    /// Its name.
    pub name: String,
    /// The kind it begins with.
    pub from: String,
    /// The kind it ends with.
    pub to: String,
}

impl Config {
    /// The kind of this name.
    pub fn kind(&self, name: &str) -> Option<&KindConfig> {
        self.kinds.iter().find(|kind| kind.name == name)
    }
}

/// What is wrong with `config`, if anything: the key and how to mend it.
pub fn problem(config: &Config) -> Option<(&'static str, String)> {
    let kinds = || {
        if config.kinds.len() > MAX_KINDS {
            return Some(format!("{} kinds; {MAX_KINDS} are the most", config.kinds.len()));
        }
        config.kinds.iter().enumerate().find_map(|(at, kind)| {
            let is_again = config.kinds.iter().take(at).any(|other| other.name == kind.name);
            if is_again { Some(format!("`{}` is declared twice", kind.name)) } else { kind.problem() }
        })
    };
    let rules = || {
        if config.rules.len() > MAX_RULES {
            return Some(format!("{} rules; {MAX_RULES} are the most", config.rules.len()));
        }
        config.rules.iter().find_map(|rule| rule.problem(config))
    };
    let conversions = || {
        config.conversions.iter().find_map(|conversion| {
            let stray =
                [&conversion.from, &conversion.to].into_iter().find(|name| config.kind(name).is_none())?;
            Some(format!(
                "`{}` is of the kind `{stray}`, and there is none; add it to `business.kinds`",
                conversion.name
            ))
        })
    };
    kinds()
        .map(|what| ("business.kinds", what))
        .or_else(|| rules().map(|what| ("business.rules", what)))
        .or_else(|| conversions().map(|what| ("business.conversions", what)))
}

impl KindConfig {
    fn problem(&self) -> Option<String> {
        let name = &self.name;
        let is_name = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !is_name {
            return Some(format!("`{}` is no name: 1 to 64 of a to z, 0 to 9 and _", name.escape_debug()));
        }
        let is_sum = self.kind == Kind::Sum;
        if is_sum == self.currencies.is_empty() {
            return Some(if is_sum {
                format!("`{name}` is a sum and has no currency; add `currencies = [\"EUR\"]`")
            } else {
                format!("`{name}` is no sum, and has no currencies")
            });
        }
        if self.currencies.len() > MAX_CURRENCIES {
            return Some(format!("`{name}` has more than {MAX_CURRENCIES} currencies"));
        }
        let stray = self
            .currencies
            .iter()
            .find(|code| code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()))?;
        Some(format!("`{}` of `{name}` is no currency's code such as EUR", stray.escape_debug()))
    }
}

impl RuleConfig {
    fn problem(&self, config: &Config) -> Option<String> {
        let kind = &self.kind;
        let Some(declared) = config.kind(kind) else {
            return Some(format!(
                "a rule counts `{}`, and there is no such kind; add it to `business.kinds`",
                kind.escape_debug()
            ));
        };
        let names_user = self.user_cookie.is_some() || self.user_header.is_some();
        match declared.kind {
            Kind::Sum => return Some(format!("`{kind}` is a sum: no request says of how much; send events")),
            Kind::Unique if !names_user => {
                return Some(format!("`{kind}` counts users: add `user_cookie` or `user_header`"));
            }
            Kind::Count | Kind::Unique => {}
        }
        let stray =
            |all: &[String], is_good: &dyn Fn(&str) -> bool| all.iter().find(|text| !is_good(text)).cloned();
        if let Some(path) = stray(&self.paths, &|text| Pattern::parse(text).is_some()) {
            return Some(format!("`{}` is no pattern of paths such as /api/**/charts", path.escape_debug()));
        }
        if let Some(host) = stray(&self.hosts, &|text| HostPattern::parse(text).is_some()) {
            return Some(format!(
                "`{}` is no host such as shop.example or *.shop.example",
                host.escape_debug()
            ));
        }
        if self.statuses.is_empty() {
            return Some(format!("a rule for `{kind}` has no `statuses`; write for example [\"2xx\"]"));
        }
        let status = stray(&self.statuses, &|text| statuses(text).is_some())?;
        Some(format!("`{}` is no status such as 201 or 2xx", status.escape_debug()))
    }
}

/// The statuses that `text` means: the first and the last.
pub(super) fn statuses(text: &str) -> Option<(u16, u16)> {
    let (first, rest) = text.split_at_checked(1)?;
    let family: u16 = first.parse().ok().filter(|family| (1..=5).contains(family))?;
    if rest == "xx" {
        return Some((family * 100, family * 100 + 99));
    }
    let one: u16 = text.parse().ok().filter(|_| text.len() == 3)?;
    Some((one, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        problem(&toml::from_str(text).unwrap()).map(|(key, what)| format!("{key}: {what}"))
    }

    #[test]
    fn what_is_wrong_is_said() {
        let kinds = "[[kinds]]\nname = \"charts\"\nkind = \"count\"\n[[kinds]]\nname = \"users\"\nkind = \"unique\"\n";
        for (text, says) in [
            ("[[kinds]]\nname = \"a b\"\nkind = \"count\"\n", "business.kinds: `a b` is no name"),
            ("[[kinds]]\nname = \"r\"\nkind = \"sum\"\n", "business.kinds: `r` is a sum and has no currency"),
            (
                "[[kinds]]\nname = \"r\"\nkind = \"sum\"\ncurrencies = [\"euro\"]\n",
                "business.kinds: `euro` of `r` is no currency",
            ),
            (
                &format!("{kinds}[[rules]]\nkind = \"chart\"\n"),
                "business.rules: a rule counts `chart`, and there is no such kind",
            ),
            (&format!("{kinds}[[rules]]\nkind = \"users\"\n"), "business.rules: `users` counts users: add"),
            (
                &format!("{kinds}[[rules]]\nkind = \"charts\"\nstatuses = [\"6xx\"]\n"),
                "business.rules: `6xx` is no status",
            ),
            (
                &format!("{kinds}[[conversions]]\nname = \"c\"\nfrom = \"users\"\nto = \"x\"\n"),
                "business.conversions: `c` is of the kind `x`",
            ),
        ] {
            let told = told(text).unwrap_or_default();
            assert!(told.starts_with(says), "{text}\n  told {told}\n  not  {says}");
        }
        let good = format!(
            "{kinds}[[rules]]\nkind = \"charts\"\nmethods = [\"POST\"]\npaths = [\"/api/**/charts\"]\nstatuses = [\"2xx\", \"304\"]\n"
        );
        assert_eq!(told(&good), None);
    }
}
