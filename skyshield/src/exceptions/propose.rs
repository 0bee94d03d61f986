//! The narrowest exceptions that would let a refused request through.

use super::change::{Change, change};
use super::scope::{Circumstances, Scope};
use crate::engine::incident::Assessment;
use crate::engine::risk::{Kind, Term};
use crate::engine::source::Source;
use crate::inspect::Place;
use crate::routes::{HostPattern, Path};

/// The narrowest exceptions, one for each place, that let a request with this assessment through; none
/// where no exception can, because no rule refused it.
pub fn propose(assessment: &Assessment, request: &Circumstances<'_>) -> Vec<Scope> {
    let Some(Change::Without { places, .. }) = change(assessment) else { return Vec::new() };
    let host = std::str::from_utf8(bare(request.host)).ok().map(str::to_ascii_lowercase);
    let within = Scope {
        rules: Vec::new(),
        place: None,
        host: host.filter(|host| HostPattern::parse(host).is_some()),
        route: Some(path_of(request.target).unwrap_or_else(|| request.route.to_owned())),
        source: Some(Source::host(request.source)),
    };
    let mut scopes: Vec<Scope> =
        places.iter().map(|place| Scope { place: Some(place.clone()), ..within.clone() }).collect();
    // The surest first, so that as few rules as can be are named.
    let mut terms: Vec<&Term> = assessment.bill.terms.iter().filter(|term| is_at(term, &places)).collect();
    terms.sort_by(|one, other| (other.confidence * other.weight).total_cmp(&(one.confidence * one.weight)));
    for term in terms {
        if let Some(scope) = scopes.iter_mut().find(|scope| scope.place == term.place) {
            scope.rules.push(term.rule.clone().into_owned());
        }
        let covered = |term: &Term| scopes.iter().any(|scope| scope.covers(&term.rule, term.place.as_ref()));
        if !assessment.is_refused_without(covered) {
            scopes.retain(|scope| !scope.rules.is_empty());
            return scopes;
        }
    }
    Vec::new()
}

fn is_at(term: &Term, places: &[Place]) -> bool {
    term.kind == Kind::Finding && term.place.as_ref().is_some_and(|place| places.contains(place))
}

/// The host without its port.
fn bare(host: &[u8]) -> &[u8] {
    let colon = memchr::memrchr(b':', host).filter(|&colon| host[colon + 1..].iter().all(u8::is_ascii_digit));
    colon.map_or(host, |colon| &host[..colon])
}

/// The path of a target as a pattern of exactly it; none where none says it.
fn path_of(target: &[u8]) -> Option<String> {
    let pattern = Path::of(target).pattern()?;
    (pattern.len() <= 256).then_some(pattern)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::change::tests::assessed;
    use super::*;

    fn proposed(target: &str, rows: &[(&'static str, &str, &'static str, f64)]) -> Vec<Scope> {
        let source = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
        let request =
            Circumstances { route: "default", host: b"Shop.Example:80", target: target.as_bytes(), source };
        propose(&assessed(rows), &request)
    }

    #[test]
    fn only_rules_that_are_needed_are_named() {
        let rows = [
            ("sqli.a", "sqli", "query:id", 0.95),
            ("sqli.b", "sqli", "query:id", 0.6),
            ("xss.a", "xss", "query:q", 0.3),
        ];
        let [scope] = &proposed("/x/../products?id=1", &rows)[..] else { panic!() };
        assert_eq!(scope.rules, ["sqli.a"]);
        assert_eq!(scope.place, Some(Place::Query("id".to_owned())));
        assert_eq!(
            (scope.host.as_deref(), scope.route.as_deref()),
            (Some("shop.example"), Some("/products"))
        );
        assert_eq!(scope.source.map(|source| source.to_string()).as_deref(), Some("203.0.113.7"));
        assert_eq!(scope.problem(), None);
    }

    #[test]
    fn two_places_get_an_exception_each() {
        let rows = [("sqli.a", "sqli", "body:a", 0.95), ("sqli.a", "sqli", "body:b", 0.95)];
        assert_eq!(proposed("/", &rows).len(), 2);
    }

    #[test]
    fn what_no_rule_refused_has_no_exception() {
        assert_eq!(proposed("/", &[("login.guessing", "login", "", 0.95)]), []);
    }

    #[test]
    fn a_path_that_no_pattern_says_is_named_by_its_route() {
        let [scope] = &proposed("/%ff", &[("sqli.a", "sqli", "path", 0.95)])[..] else { panic!() };
        assert_eq!(scope.route.as_deref(), Some("default"));
    }
}
