//! Sites as they are configured: their names, and who serves them.

use serde::{Deserialize, Serialize};

use crate::gateway::config::Authority;
use crate::gateway::field::is_name;
use crate::gateway::security_headers;

/// The name of the site that `gateway.upstream` serves.
pub(in crate::gateway) const DEFAULT_SITE: &str = "default";
/// Sites at the most: each is a label of metrics.
const MAX_SITES: usize = 64;
/// Upstreams of one site at the most.
pub(in crate::gateway) const MAX_UPSTREAMS: usize = 64;
/// A week: what is longer is a slip of the pen.
const MAX_SECS: u64 = 7 * 24 * 3600;

/// One site: the hosts it is asked for by, and the upstreams that serve it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its name in metrics and logs: lower-case letters, digits, `-` and `_`. `default` is taken.
    pub name: String,
    /// Host names without a port: `shop.example`, or `*.shop.example` for whatever lies below it, at
    /// any depth. The longest name that matches decides.
    pub hosts: Vec<String>,
    /// Who serves it, each as in `gateway.upstream`; requests are shared out among them.
    pub upstreams: Vec<Authority>,
    /// In place of `gateway.balance`.
    pub balance: Option<Balance>,
    /// In place of `gateway.health`, as a whole.
    pub health: Option<Health>,
    /// In place of `gateway.headers`, as a whole.
    pub headers: Option<security_headers::Config>,
}

/// How requests are shared out among the upstreams of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// Whoever has the fewest requests in progress; of equals, one after the other.
    LeastConnections,
}

/// What happens to a request for a host that no site has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownHost {
    /// `gateway.upstream` serves it.
    #[default]
    Default,
    /// It is turned away: 421.
    Misdirected,
    /// It is turned away: 404.
    NotFound,
}

/// How it is found out which upstreams work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// What each upstream is asked for from time to time, such as `/healthz`; an answer from 200 to
    /// 399 is a good one. Default empty: none is asked, and only requests tell.
    pub path: String,
    /// From one check to the next, in seconds. Default 5.
    pub interval_secs: u64,
    /// What a check may take, in seconds. Default 2.
    pub timeout_secs: u64,
    /// Good checks in a row after which an upstream that was down is up. Default 2.
    pub rise: u32,
    /// Failed checks in a row after which an upstream is down and gets no request. Default 3.
    pub fall: u32,
    /// Requests in a row without an answer from an upstream, after which it rests: it is asked only
    /// where no other is left. 0 is never. Default 3.
    pub failures: u32,
    /// How long it rests, in seconds. Default 10.
    pub rest_secs: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            path: String::new(),
            interval_secs: 5,
            timeout_secs: 2,
            rise: 2,
            fall: 3,
            failures: 3,
            rest_secs: 10,
        }
    }
}

impl Health {
    /// What is wrong with it, if anything.
    pub(in crate::gateway) fn problem(&self) -> Option<(&'static str, String)> {
        let visible = |text: &str| text.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
        let asked = self.path.strip_prefix('/');
        if !self.path.is_empty() && !asked.is_some_and(visible) {
            let what = format!("`{}` is not a path: begin it with `/`, without spaces", self.path);
            return Some(("gateway.health.path", what));
        }
        let seconds = [
            ("gateway.health.interval_secs", self.interval_secs),
            ("gateway.health.timeout_secs", self.timeout_secs),
            ("gateway.health.rest_secs", self.rest_secs),
        ];
        if let Some((key, secs)) = seconds.into_iter().find(|(_, secs)| !(1..=MAX_SECS).contains(secs)) {
            return Some((key, format!("{secs} is not between 1 and {MAX_SECS} seconds")));
        }
        let counts = [("gateway.health.rise", self.rise), ("gateway.health.fall", self.fall)];
        let (key, _) = counts.into_iter().find(|&(_, count)| !(1..=1000).contains(&count))?;
        Some((key, "it is not between 1 and 1000".to_owned()))
    }
}

/// What is wrong with `sites`, if anything: which site, what, and how to mend it.
pub(in crate::gateway) fn problem(sites: &[Site]) -> Option<String> {
    if sites.len() > MAX_SITES {
        return Some(format!("there are more than {MAX_SITES}"));
    }
    for (at, site) in sites.iter().enumerate() {
        let before = || sites.iter().take(at);
        let name = &site.name;
        let what = if let Some(what) = name_problem(name) {
            what
        } else if before().any(|other| other.name == *name) {
            "its name is another site's; take a new one".to_owned()
        } else if let Some(host) = site.hosts.iter().find(|host| Pattern::of(host).is_none()) {
            format!("`{host}` is no host name, nor `*.` and one, without a port")
        } else if let Some((host, other)) = site.hosts.iter().enumerate().find_map(|(place, host)| {
            let twice =
                site.hosts.iter().take(place).any(|own| own.eq_ignore_ascii_case(host)).then_some(name);
            let taken =
                before().find(|other| other.hosts.iter().any(|taken| taken.eq_ignore_ascii_case(host)));
            Some((host, twice.or(taken.map(|other| &other.name))?))
        }) {
            format!("`{host}` is a host of `{other}` already")
        } else if site.hosts.is_empty() {
            "it has no hosts, so nobody can ask for it".to_owned()
        } else if site.upstreams.is_empty() || site.upstreams.len() > MAX_UPSTREAMS {
            format!("its upstreams are not between 1 and {MAX_UPSTREAMS}")
        } else if let Some((key, what)) = site.health.as_ref().and_then(Health::problem) {
            format!("{}: {what}", own_key(key))
        } else if let Some((key, what)) = site.headers.as_ref().and_then(security_headers::Config::problem) {
            format!("{}: {what}", own_key(key))
        } else {
            continue;
        };
        return Some(format!("{name}: {what}"));
    }
    None
}

fn name_problem(name: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        return Some("the name is not 1 to 64 lower-case letters, digits, `-` and `_`".to_owned());
    }
    ["default", "none"].contains(&name).then(|| "this name is taken; take another".to_owned())
}

/// The key as it is written inside a site's table.
fn own_key(key: &str) -> &str {
    key.strip_prefix("gateway.").unwrap_or(key)
}

/// The hosts that one entry of `hosts` stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// This one.
    Exact(Vec<u8>),
    /// All below this one.
    Below(Vec<u8>),
}

impl Pattern {
    /// The pattern that `text` writes, in lower case.
    pub(super) fn of(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        if let Some(address) = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return address.parse::<std::net::Ipv6Addr>().is_ok().then(|| Self::Exact(lower.into_bytes()));
        }
        let (name, below) = lower.strip_prefix("*.").map_or((lower.as_str(), false), |rest| (rest, true));
        let is_label = |label: &str| {
            is_name(label.as_bytes())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            return None;
        }
        let name = name.as_bytes().to_vec();
        Some(if below { Self::Below(name) } else { Self::Exact(name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(text: &str) -> Option<String> {
        #[derive(Deserialize)]
        struct Written {
            sites: Vec<Site>,
        }
        problem(&toml::from_str::<Written>(text).unwrap().sites)
    }

    #[test]
    fn what_makes_no_sense_is_named_by_its_site() {
        let site = |name: &str, hosts: &str, more: &str| {
            format!("[[sites]]\nname = '{name}'\nhosts = [{hosts}]\nupstreams = ['10.0.0.1:80']\n{more}\n")
        };
        let good = site("shop", "'shop.example', '*.shop.example', '[2001:db8::1]', '10.0.0.1'", "");
        assert_eq!(problem_of(&good), None);
        for (text, told) in [
            (site("Shop", "'a'", ""), "Shop: the name is not"),
            (site("default", "'a'", ""), "default: this name is taken"),
            (good.clone() + &site("shop", "'b'", ""), "shop: its name is another site's"),
            (
                good.clone() + &site("two", "'SHOP.example'", ""),
                "two: `SHOP.example` is a host of `shop` already",
            ),
            (site("a", "'a', 'A'", ""), "a: `A` is a host of `a` already"),
            (site("a", "'a:80'", ""), "a: `a:80` is no host name"),
            (site("a", "'*'", ""), "a: `*` is no host name"),
            (site("a", "'a.*'", ""), "a: `a.*` is no host name"),
            (site("a", "'a..b'", ""), "a: `a..b` is no host name"),
            (site("a", "", ""), "a: it has no hosts"),
            (site("a", "'a'", "health = { fall = 0 }"), "a: health.fall: it is not between 1 and 1000"),
            (site("a", "'a'", "health = { path = 'x' }"), "a: health.path: `x` is not a path"),
            (site("a", "'a'", "headers = { remove = ['Host'] }"), "a: headers.remove: `Host`"),
            ("[[sites]]\nname = 'a'\nhosts = ['a']\nupstreams = []\n".to_owned(), "a: its upstreams are not"),
        ] {
            let problem = problem_of(&text).unwrap_or_default();
            assert!(problem.starts_with(told), "{text}\n{problem}");
        }
    }
}
