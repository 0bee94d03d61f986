//! What people may know of a rule: what it looks for, why, and an example of what it matches and what it lets through.

use serde::Serialize;

use crate::inspect::Class;

/// One rule, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleInfo {
    /// Its id, stable across releases.
    pub id: &'static str,
    /// The kind of attack it claims.
    pub class: Class,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// What it looks for.
    pub about: &'static str,
    /// Where the weakness and the attack are described.
    pub references: [&'static str; 2],
    /// What it matches, percent signs and control characters percent-encoded.
    pub attack: &'static str,
    /// What looks like it and is let through, encoded likewise.
    pub honest: &'static str,
}

const CATALOG: &str = include_str!("catalog.txt");

/// The built-in rules, for people.
pub fn infos() -> impl Iterator<Item = RuleInfo> {
    super::all().map(|rule| {
        let [about, attack, honest] = entry(rule.id).unwrap_or_default();
        RuleInfo {
            id: rule.id,
            class: rule.class,
            confidence: rule.confidence,
            about,
            references: rule.class.references(),
            attack,
            honest,
        }
    })
}

/// What the catalog says of a rule: `# id: about`, `+ attack`, `- honest`.
fn entry(id: &str) -> Option<[&'static str; 3]> {
    let mut lines = CATALOG.lines().skip_while(|line| {
        let named = line.strip_prefix("# ").and_then(|line| line.split_once(": "));
        named.is_none_or(|(name, _)| name != id)
    });
    let (_, about) = lines.next()?.split_once(": ")?;
    Some([about, lines.next()?.strip_prefix("+ ")?, lines.next()?.strip_prefix("- ")?])
}
