//! `${jndi:…}` and what hides it.

use super::{Check, Rule};
use crate::inspect::Class;
use crate::inspect::decode::Views;
use crate::inspect::values::Parts;

const fn pattern(id: &'static str, confidence: f64, pattern: &'static str) -> Rule {
    Rule::new(id, Class::LookupInjection, confidence, Check::Pattern(pattern))
        .on(Views::BASE.and(Views::DEEP).and(Views::HTML).and(Views::LOOKUP))
        .at(Parts::ALL)
        .needs(b"$", b"{")
}

pub(super) const RULES: &[Rule] = &[
    pattern("lookup.jndi", 0.98, r"\$\{\s*jndi\s*:").words(&["jndi"]),
    pattern(
        "lookup.nested",
        0.95,
        r"\$\{[^{}]*\$\{\s*(?:lower|upper|env|sys|java|date|base64|main|ctx|:|[\w.:-]*:-)",
    ),
    pattern(
        "lookup.leak",
        0.88,
        r"\$\{\s*(?:env|sys|java|ctx|bundle|docker|k8s|spring|base64|script|dns|url|jvmrunargs|hostname|lower|upper|::-)\s*:[^}]+\}",
    ),
    pattern("lookup.spelled-out", 0.95, r"(?:\$\{[^{}]{0,40}:-?[a-z:]\}[^$]{0,3}){3,}"),
];
