//! What people may know of a rule: what it looks for, why, and an example of what it matches and what it lets through.

use std::borrow::Cow;

use serde::Serialize;

use crate::inspect::{Action, Class};

/// One rule, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleInfo {
    /// Its id, stable across releases.
    pub id: Cow<'static, str>,
    /// The kind of attack it claims.
    pub class: Class,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// What comes of its claims; nothing where it is turned off.
    pub action: Option<Action>,
    /// `built-in`, or the file of the operator's that it is from.
    pub origin: Cow<'static, str>,
    /// What it looks for.
    pub about: Cow<'static, str>,
    /// Where the weakness and the attack are described.
    pub references: Vec<Cow<'static, str>>,
    /// The operator's own order.
    pub tags: Vec<Cow<'static, str>>,
    /// What it matches; of built-in rules percent signs and control characters are percent-encoded.
    pub attacks: Vec<Cow<'static, str>>,
    /// What looks like it and is let through, encoded likewise.
    pub honest: Vec<Cow<'static, str>>,
}

const CATALOG: &str = include_str!("catalog.txt");

/// The built-in rules, for people.
pub fn infos() -> impl Iterator<Item = RuleInfo> {
    super::all().map(|rule| {
        let Entry { about, attacks, honest } = Entry::of(rule.id).unwrap_or_default();
        RuleInfo {
            id: rule.id.into(),
            class: rule.class,
            confidence: rule.confidence,
            action: Some(Action::Weigh),
            origin: "built-in".into(),
            about: about.into(),
            references: rule.class.references().map(Cow::Borrowed).into(),
            tags: Vec::new(),
            attacks,
            honest,
        }
    })
}

/// What the catalog says of a rule: `# id: about`, then `+ attack` and `- honest`, each once or more.
#[derive(Default)]
struct Entry {
    about: &'static str,
    attacks: Vec<Cow<'static, str>>,
    honest: Vec<Cow<'static, str>>,
}

impl Entry {
    fn of(id: &str) -> Option<Self> {
        let mut lines = CATALOG.lines().skip_while(|line| {
            let named = line.strip_prefix("# ").and_then(|line| line.split_once(": "));
            named.is_none_or(|(name, _)| name != id)
        });
        let (_, about) = lines.next()?.split_once(": ")?;
        let mut entry = Self { about, ..Self::default() };
        for line in lines.take_while(|line| !line.starts_with("# ")) {
            if let Some(attack) = line.strip_prefix("+ ") {
                entry.attacks.push(attack.into());
            } else if let Some(honest) = line.strip_prefix("- ") {
                entry.honest.push(honest.into());
            }
        }
        Some(entry)
    }
}
