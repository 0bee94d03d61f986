//! What an exception covers: rules, at a place of the request, on a route, of a source.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::engine::source::Source;
use crate::inspect::{Limits, Place, own};
use crate::routes::{HostPattern, Path, Pattern};

/// Rules of one exception at the most.
const MAX_RULES: usize = 32;
/// Characters of a rule, a route or a host.
const MAX_TEXT: usize = 256;

/// Which findings of which requests. What is left out is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// Ids of rules: `sqli.union-select`; `sqli.*` is all whose id begins with `sqli.`.
    pub rules: Vec<String>,
    /// Where in the request.
    pub place: Option<Place>,
    /// The host asked for: a name, or `*.` and a name.
    pub host: Option<String>,
    /// A route's name, or a pattern of paths that begins with `/`.
    pub route: Option<String>,
    /// Whose requests: an address or a prefix.
    pub source: Option<Source>,
}

/// What is known of a request beside its findings.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The name of the route that took it.
    pub route: &'a str,
    /// The host asked for.
    pub host: &'a [u8],
    /// The target.
    pub target: &'a [u8],
    /// Whose it is.
    pub source: IpAddr,
}

impl Scope {
    /// What is wrong with it, if anything, and how to mend it.
    pub fn problem(&self) -> Option<String> {
        if self.rules.is_empty() || self.rules.len() > MAX_RULES {
            return Some(format!("rules: name one to {MAX_RULES} rules; `skyshield rules list` has them"));
        }
        let is_id = |rule: &String| {
            let bare = rule.strip_suffix('*').unwrap_or(rule);
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            (2..=MAX_TEXT).contains(&bare.len()) && bare.bytes().all(known)
        };
        if let Some(rule) = self.rules.iter().find(|rule| !is_id(rule)) {
            let rule: String = rule.chars().take(80).flat_map(char::escape_debug).collect();
            return Some(format!("rules: `{rule}` is no rule; write `sqli.union-select` or `sqli.*`"));
        }
        if let Some(host) = &self.host
            && (host.len() > MAX_TEXT || HostPattern::parse(host).is_none())
        {
            return Some("host: it is no host name, with or without a `*.` before it".to_owned());
        }
        if self.route.as_ref().is_some_and(|route| route.is_empty() || route.len() > MAX_TEXT) {
            return Some(format!("route: it is empty, or longer than {MAX_TEXT} characters"));
        }
        None
    }

    /// The rules it names that no built-in rule answers to: the operator's own, or written wrongly.
    pub fn unknown_rules(&self) -> Vec<String> {
        let limits = Limits::default();
        self.rules.iter().filter(|named| !own::answers_to(&limits, named)).cloned().collect()
    }

    /// Whether it covers what `rule` says of `place`.
    pub fn covers(&self, rule: &str, place: Option<&Place>) -> bool {
        let named = self.rules.iter().any(|known| match known.strip_suffix('*') {
            Some(start) => rule.starts_with(start),
            None => known == rule,
        });
        named && (self.place.is_none() || self.place.as_ref() == place)
    }
}

/// A scope, ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) scope: Scope,
    path: Option<Pattern>,
    host: Option<HostPattern>,
}

impl Compiled {
    pub(super) fn new(scope: Scope) -> Self {
        let path = scope.route.as_deref().and_then(Pattern::parse);
        let host = scope.host.as_deref().and_then(HostPattern::parse);
        Self { scope, path, host }
    }

    /// Whether it is about requests such as this.
    pub(super) fn takes(&self, request: &Circumstances<'_>) -> bool {
        let Scope { host, route, source, .. } = &self.scope;
        source.is_none_or(|source| source.covers(Source::host(request.source)))
            && (host.is_none() || self.host.as_ref().is_some_and(|pattern| pattern.matches(request.host)))
            && match (route, &self.path) {
                (None, _) => true,
                (Some(_), Some(pattern)) => pattern.matches(&Path::of(request.target)),
                (Some(name), None) => name == request.route,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Circumstances<'static> = Circumstances {
        route: "wiki",
        host: b"shop.example:8080",
        target: b"/a/b?c=d",
        source: IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7)),
    };

    fn scope(text: &str) -> Scope {
        toml::from_str(&format!("rules = ['sqli.*', 'xss.tag']\n{text}")).unwrap()
    }

    #[test]
    fn each_part_that_is_named_must_fit() {
        for (text, takes) in [
            ("", true),
            ("route = 'wiki'", true),
            ("route = 'default'", false),
            ("route = '/a/*'", true),
            ("route = '/A/%62'", false),
            ("route = '/a'", false),
            ("host = 'shop.example'", true),
            ("host = '*.example'", true),
            ("host = 'other.example'", false),
            ("source = '203.0.113.0/24'", true),
            ("source = '203.0.113.8'", false),
            ("source = '203.0.113.7'\nroute = '/a/b'\nhost = 'shop.example'", true),
        ] {
            assert_eq!(Compiled::new(scope(text)).takes(&REQUEST), takes, "{text}");
        }
    }

    #[test]
    fn rules_and_places_are_covered_as_named() {
        let id = Place::Query("id".to_owned());
        assert!(scope("").covers("sqli.union-select", Some(&id)));
        assert!(scope("").covers("xss.tag", None));
        assert!(!scope("").covers("xss.tag-two", Some(&id)));
        let narrow = Scope { place: Some(id.clone()), ..scope("") };
        assert!(narrow.covers("sqli.a", Some(&id)));
        assert!(!narrow.covers("sqli.a", Some(&Place::Body("id".to_owned()))));
        assert!(!narrow.covers("sqli.a", None));
    }

    #[test]
    fn a_scope_that_is_everything_or_nonsense_is_refused() {
        assert_eq!(scope("host = '*.a.example'").problem(), None);
        for (scope, told) in [
            (Scope::default(), "rules: name one"),
            (Scope { rules: vec!["*".to_owned()], ..Scope::default() }, "rules: `*` is no rule"),
            (Scope { rules: vec!["a b".to_owned()], ..Scope::default() }, "rules: `a b` is no rule"),
            (scope("host = 'a b'"), "host:"),
            (scope("route = ''"), "route:"),
        ] {
            assert!(scope.problem().unwrap().starts_with(told), "{scope:?}");
        }
    }
}
