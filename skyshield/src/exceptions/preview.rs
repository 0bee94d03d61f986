//! What exceptions would have let through, from the evidence that was kept.

use std::net::IpAddr;

use super::scope::{Circumstances, Compiled, Scope};
use crate::engine::incident::Assessment;
use crate::engine::risk::{Kind, Score, Term};

/// An incident of the past.
#[derive(Clone, Debug)]
pub struct Past {
    /// Its id.
    pub id: String,
    /// Whose it was.
    pub source: IpAddr,
    /// The route that took it.
    pub route: String,
    /// The host asked for.
    pub host: Vec<u8>,
    /// The target.
    pub target: Vec<u8>,
    /// Why it was one.
    pub assessment: Assessment,
}

/// An incident that would have been none.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// Its id.
    pub id: String,
    /// Its score with the exceptions.
    pub score: Score,
}

/// What exceptions come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// Refused requests that were looked at.
    pub looked_at: usize,
    /// Those that would have passed.
    pub admitted: Vec<Admitted>,
}

/// Which of `past` would have passed with exceptions of `scopes`.
pub fn preview(scopes: &[Scope], past: impl IntoIterator<Item = Past>) -> Preview {
    let compiled: Vec<_> = scopes.iter().cloned().map(Compiled::new).collect();
    let mut found = Preview::default();
    for incident in past {
        let Past { id, source, route, host, target, assessment } = incident;
        if !assessment.is_refused() {
            continue;
        }
        found.looked_at += 1;
        let request = Circumstances { route: &route, host: &host, target: &target, source };
        let taking: Vec<_> = compiled.iter().filter(|compiled| compiled.takes(&request)).collect();
        if taking.is_empty() {
            continue;
        }
        let covered = |term: &Term| {
            // What is held against a source by itself, no exception takes away.
            term.kind == Kind::Finding
                && taking.iter().any(|compiled| compiled.scope.covers(&term.rule, term.place.as_ref()))
        };
        if !assessment.is_refused_without(covered) {
            found.admitted.push(Admitted { id, score: assessment.bill.without(covered).score() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::change::tests::assessed;
    use super::*;

    fn past(id: &str, target: &str, rows: &[(&'static str, &str, &'static str, f64)]) -> Past {
        Past {
            id: id.to_owned(),
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            route: "default".to_owned(),
            host: b"a".to_vec(),
            target: target.as_bytes().to_vec(),
            assessment: assessed(rows),
        }
    }

    #[test]
    fn what_would_have_passed_is_told_and_nothing_else() {
        let alike = [("sqli.a", "sqli", "query:id", 0.95)];
        let worse = [alike[0], ("xss.a", "xss", "query:q", 0.95)];
        let scope =
            Scope { rules: vec!["sqli.a".to_owned()], route: Some("/p".to_owned()), ..Scope::default() };
        let told = preview(
            &[scope],
            [
                past("alike", "/p?id=1", &alike),
                past("worse", "/p?id=1", &worse),
                past("elsewhere", "/q?id=1", &alike),
                past("passed", "/p", &[("xss.a", "xss", "path", 0.3)]),
            ],
        );
        assert_eq!(told.looked_at, 3);
        assert_eq!(told.admitted, [Admitted { id: "alike".to_owned(), score: Score::default() }]);
    }
}
