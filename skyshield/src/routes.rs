//! What differs between the parts of an application: for the requests that a route takes, how they
//! are inspected and where their score turns into acts. Which upstream they go to is the gateway's.

mod config;
mod host;
mod pattern;

use std::sync::Arc;

pub use config::{Config, MAX_ROUTES, problem};
pub use host::HostPattern;
pub use pattern::{Path, PathPatterns, Pattern};

use crate::engine::risk::{self, Thresholds};
use crate::inspect::{self, Mode, OverLimit, Request};

/// How requests are judged that a route takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// What the operator calls it; `default` where no route takes a request.
    pub name: Arc<str>,
    /// Whether requests are inspected, and what comes of it.
    pub mode: Mode,
    /// What happens to a request with bytes that were not read.
    pub over_limit: OverLimit,
    /// Where scores turn into acts.
    pub thresholds: Thresholds,
}

/// All routes, in the order they are tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Routes {
    own: Vec<(Condition, Route)>,
    default: Route,
}

/// Which requests a route takes.
#[derive(Clone, Debug, PartialEq)]
struct Condition {
    hosts: Vec<HostPattern>,
    methods: Vec<Box<[u8]>>,
    paths: Vec<Pattern>,
}

impl Routes {
    /// The routes of `configs`. What one leaves out is as `inspect` and `risk` have it.
    pub fn new(configs: &[Config], inspect: &inspect::Limits, risk: &risk::Config) -> Self {
        let default = Route {
            name: "default".into(),
            mode: inspect.mode,
            over_limit: inspect.over_limit,
            thresholds: risk.thresholds(),
        };
        let own = configs.iter().map(|config| {
            let Thresholds { shape, refuse, ban } = default.thresholds;
            let route = Route {
                name: config.name.as_str().into(),
                mode: config.inspect.unwrap_or(default.mode),
                over_limit: config.over_limit.unwrap_or(default.over_limit),
                thresholds: Thresholds {
                    shape: config.shape.unwrap_or(shape),
                    refuse: config.refuse.unwrap_or(refuse),
                    ban: config.ban.unwrap_or(ban),
                },
            };
            (Condition::of(config), route)
        });
        Self { own: own.collect(), default }
    }

    /// The first route that takes a request of `method` for `target` at `host`.
    pub fn of(&self, host: &[u8], method: &[u8], target: &[u8]) -> &Route {
        if self.own.is_empty() {
            return &self.default;
        }
        let path = Path::of(target);
        let taken = self.own.iter().find(|(condition, _)| condition.takes(host, method, &path));
        taken.map_or(&self.default, |(_, route)| route)
    }

    /// The first route that takes `request`, by its `Host`.
    pub fn of_request(&self, request: &Request<'_>) -> &Route {
        self.of(request.host(), request.method, request.target)
    }

    /// The routes by their names, the default last.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.own.iter().map(|(_, route)| route).chain([&self.default])
    }
}

impl Condition {
    fn of(config: &Config) -> Self {
        Self {
            hosts: config.hosts.iter().filter_map(|host| HostPattern::parse(host)).collect(),
            methods: config.methods.iter().map(|method| method.as_bytes().into()).collect(),
            paths: config.paths.iter().filter_map(|path| Pattern::parse(path)).collect(),
        }
    }

    fn takes(&self, host: &[u8], method: &[u8], path: &Path<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|known| **known == *method))
            && (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host)))
            && (self.paths.is_empty() || self.paths.iter().any(|pattern| pattern.matches(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(text: &str) -> Routes {
        #[derive(serde::Deserialize)]
        struct Written {
            routes: Vec<Config>,
        }
        let Written { routes } = toml::from_str(text).unwrap();
        let (inspect, risk) = (inspect::Limits::default(), risk::Config::default());
        assert_eq!(problem(&routes, &risk), None);
        Routes::new(&routes, &inspect, &risk)
    }

    #[test]
    fn the_first_route_that_takes_a_request_decides() {
        let routes = routes(
            "[[routes]]\nname = 'hooks'\npaths = ['/hooks/**']\nmethods = ['POST']\ninspect = 'off'\n\
             [[routes]]\nname = 'wiki'\nhosts = ['*.wiki.example']\nrefuse = 0.95\nban = 0.99\n\
             [[routes]]\nname = 'rest'\npaths = ['/hooks/**']\ninspect = 'observe'\n",
        );
        for (host, method, target, name) in [
            ("a.example", "POST", "/hooks/1", "hooks"),
            ("a.example", "GET", "/hooks/1", "rest"),
            ("en.wiki.example", "GET", "/hooks/1", "wiki"),
            ("en.wiki.example", "POST", "/x/%2e%2e/hooks/1?a=b", "hooks"),
            ("EN.WIKI.example:8080", "GET", "/", "wiki"),
            ("wiki.example", "GET", "/", "default"),
            ("", "GET", "*", "default"),
        ] {
            let route = routes.of(host.as_bytes(), method.as_bytes(), target.as_bytes());
            assert_eq!(&*route.name, name, "{host} {method} {target}");
        }
    }

    #[test]
    fn what_a_route_leaves_out_is_as_everywhere_else() {
        let routes = routes("[[routes]]\nname = 'quiet'\nover_limit = 'pass-and-count'\n");
        let route = routes.of(b"", b"GET", b"/");
        assert_eq!(route.over_limit, OverLimit::PassAndCount);
        assert_eq!((route.mode, route.thresholds), (Mode::Refuse, risk::Config::default().thresholds()));
    }
}
