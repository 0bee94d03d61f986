//! The section `routes`: a list, tried in its order.

use serde::{Deserialize, Serialize};

use super::host::HostPattern;
use super::pattern::Pattern;
use crate::engine::risk;
use crate::inspect::{Mode, OverLimit};

/// One route. What names requests takes those that fit all of it; what is left out takes all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the operator calls it: lower-case letters, digits, `_` and `-`; a label of metrics.
    pub name: String,
    /// Host names; `*.` before one stands for all below it.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Paths: `*` is any part of one segment, `**` any number of segments. Case does not count.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Methods.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Whether requests are inspected and what comes of it: `off`, `observe` or `refuse`. Default
    /// `inspect.mode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspect: Option<Mode>,
    /// What happens to a request with bytes that were not read: `refuse` or `pass-and-count`. Default
    /// `inspect.over_limit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_limit: Option<OverLimit>,
    /// From this score of a request on, its source is slowed down. 0 to 1, default `risk.shape`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<f64>,
    /// A request that scores above this is refused. 0 to 1, default `risk.refuse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse: Option<f64>,
    /// The source of a request that scores this or more is banned. 0 to 1, default `risk.ban`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ban: Option<f64>,
}

/// Routes at the most: each is a label of metrics, and tried one after the other.
pub const MAX_ROUTES: usize = 64;

/// What is wrong with `routes` beside `risk`, if anything: the key and how to mend it.
pub fn problem(routes: &[Config], risk: &risk::Config) -> Option<(&'static str, String)> {
    let what = if routes.len() > MAX_ROUTES {
        format!("there are more than {MAX_ROUTES}; put paths of one treatment into one route")
    } else {
        routes.iter().enumerate().find_map(|(at, route)| route.problem(&routes[..at], risk))?
    };
    Some(("routes", what))
}

impl Config {
    fn problem(&self, earlier: &[Self], risk: &risk::Config) -> Option<String> {
        let name = &self.name;
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(named) || name == "default" {
            return Some(format!(
                "`{name}` is no name: up to 64 lower-case letters, digits, `_` and `-`, and not `default`"
            ));
        }
        if earlier.iter().any(|other| other.name == *name) {
            return Some(format!("there are two of the name `{name}`; rename one"));
        }
        if let Some(host) = self.hosts.iter().find(|host| HostPattern::parse(host).is_none()) {
            return Some(format!("{name}: `{host}` is no host name, with or without a `*.` before it"));
        }
        if let Some(path) = self.paths.iter().find(|path| Pattern::parse(path).is_none()) {
            return Some(format!("{name}: the path `{path}` does not begin with `/`"));
        }
        if let Some(method) = self.methods.iter().find(|method| !is_token(method)) {
            return Some(format!("{name}: `{method}` is no method; methods are in capitals, as `GET`"));
        }
        let (refuse, ban) = (self.refuse.unwrap_or(risk.refuse), self.ban.unwrap_or(risk.ban));
        let shape = self.shape.unwrap_or(risk.shape);
        if let Some(value) = [shape, refuse, ban].into_iter().find(|value| !(0.0..=1.0).contains(value)) {
            return Some(format!("{name}: {value} is not between 0 and 1"));
        }
        if self.shape.is_some_and(|shape| shape <= 0.0 || (shape > refuse && shape < 1.0)) {
            return Some(format!("{name}: shape ({shape}) is not above 0 and up to refuse ({refuse})"));
        }
        (ban < refuse)
            .then(|| format!("{name}: ban ({ban}) is below refuse ({refuse}): a ban is the stronger act"))
    }
}

fn is_token(method: &str) -> bool {
    !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_said_with_the_name_of_the_route() {
        for (text, told) in [
            ("name = 'A'", "`A` is no name"),
            ("name = 'default'", "`default` is no name"),
            ("name = 'a'\nhosts = ['http://x']", "a: `http://x` is no host name"),
            ("name = 'a'\npaths = ['x']", "a: the path `x` does not begin with `/`"),
            ("name = 'a'\nmethods = ['get']", "a: `get` is no method"),
            ("name = 'a'\nrefuse = 1.5", "a: 1.5 is not between 0 and 1"),
            ("name = 'a'\nshape = 0.9", "a: shape (0.9) is not above 0"),
            ("name = 'a'\nban = 0.5", "a: ban (0.5) is below refuse (0.8)"),
        ] {
            let route: Config = toml::from_str(text).unwrap();
            let what = route.problem(&[], &risk::Config::default()).unwrap();
            assert!(what.starts_with(told), "{text}: {what}");
        }
        let route: Config = toml::from_str("name = 'a'\nhosts = ['*.x.example']\nban = 1.0").unwrap();
        assert_eq!(route.problem(&[], &risk::Config::default()), None);
        assert!(
            problem(&[route.clone(), route], &risk::Config::default()).unwrap().1.contains("two of the name")
        );
    }
}
