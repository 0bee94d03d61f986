//! A rule made ready to be asked, built in or an operator's.

use std::borrow::Cow;
use std::sync::Arc;

use crate::inspect::Class;
use crate::inspect::budget::{self, Budget};
use crate::inspect::byteset::ByteSet;
use crate::inspect::decode::{Text, Views};
use crate::inspect::finding::Action;
use crate::inspect::grammar;
use crate::inspect::limits::Limits;
use crate::inspect::pattern::Pattern;
use crate::inspect::prose;
use crate::inspect::rules::{self, Rule};
use crate::inspect::values::Parts;

/// One rule, its pattern compiled.
#[derive(Clone, Debug)]
pub(in crate::inspect) struct Compiled {
    pub(in crate::inspect) id: Cow<'static, str>,
    pub(in crate::inspect) class: Class,
    pub(in crate::inspect) confidence: f64,
    pub(in crate::inspect) action: Action,
    pub(in crate::inspect) check: Check,
    pub(in crate::inspect) gate: Gate,
    /// Words of which a text must hold one, without case; none means no such test.
    pub(in crate::inspect) words: Vec<Cow<'static, str>>,
    /// What an operator narrowed it to; built-in rules look everywhere.
    pub(in crate::inspect) scope: Option<Arc<Scope>>,
}

/// What a text must be, and hold, before anything is searched in it.
#[derive(Clone, Copy, Debug)]
pub(in crate::inspect) struct Gate {
    pub(in crate::inspect) views: Views,
    pub(in crate::inspect) parts: Parts,
    /// Sets of which a text must hold a byte each.
    pub(in crate::inspect) needs: [ByteSet; 2],
}

impl Gate {
    /// Whether part, reading and byte sets fit.
    #[cfg(test)]
    pub(super) fn opens(&self, part: Parts, text: &Text<'_>) -> bool {
        self.parts.meets(part)
            && self.views.meets(text.views)
            && self.needs.iter().all(|set| set.meets(text.set))
    }
}

/// How a rule makes sure, once the prefilter let a text through.
#[derive(Clone, Debug)]
pub(in crate::inspect) enum Check {
    Pattern(Pattern),
    /// The pattern matches this reading and not what the application was handed.
    Hidden(Pattern),
    Sql,
    Markup,
    Structure(fn(&[u8]) -> bool),
}

/// Where an operator's rule looks. An empty list is everywhere.
#[derive(Debug, Default)]
pub(in crate::inspect) struct Scope {
    /// Of parameters, headers, cookies and fields, in lower case; of a nested field its last name too.
    pub(in crate::inspect) names: Vec<String>,
    pub(in crate::inspect) routes: Vec<String>,
}

impl Scope {
    /// Whether values of `name` are looked at.
    pub(in crate::inspect) fn names(&self, name: &[u8]) -> bool {
        let last = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        let is = |known: &String, name: &[u8]| known.as_bytes().eq_ignore_ascii_case(name);
        self.names.is_empty() || self.names.iter().any(|known| is(known, name) || is(known, last))
    }

    /// Whether requests of the route are looked at.
    pub(in crate::inspect) fn routes(&self, route: &str) -> bool {
        self.routes.is_empty() || self.routes.iter().any(|known| known == route)
    }
}

/// How sure a rule may be inside of prose: enough to refuse, not to ban whoever asks about an attack.
const IN_PROSE: f64 = 0.86;

/// How sure a rule may be that prose alone can satisfy: it hints.
const WORDS_ONLY: f64 = 0.6;

impl Compiled {
    /// The built-in `rule`; nothing where its pattern does not compile, and a test holds that each does.
    pub(in crate::inspect) fn built_in(rule: &'static Rule) -> Option<Self> {
        let check = match rule.check {
            rules::Check::Pattern(pattern) => Check::Pattern(Pattern::built_in(pattern).ok()?),
            rules::Check::Hidden(pattern) => Check::Hidden(Pattern::built_in(pattern).ok()?),
            rules::Check::Sql => Check::Sql,
            rules::Check::Markup => Check::Markup,
            rules::Check::Structure(holds) => Check::Structure(holds),
        };
        Some(Self {
            id: Cow::Borrowed(rule.id),
            class: rule.class,
            confidence: rule.confidence,
            action: Action::Weigh,
            check,
            gate: Gate { views: rule.views, parts: rule.parts, needs: rule.needs },
            words: rule.words.iter().map(|word| Cow::Borrowed(*word)).collect(),
            scope: None,
        })
    }

    /// How sure it is of `text`, and of which bytes; `base` is what the application was handed.
    pub(super) fn check<'t>(
        &self,
        text: &'t Text<'_>,
        base: &Text<'_>,
        is_json: bool,
        limits: &Limits,
        budget: &mut Budget,
    ) -> Option<(f64, &'t [u8])> {
        let confidence = self.confidence;
        match &self.check {
            Check::Pattern(pattern) => Some((confidence, pattern.find(&text.bytes, budget)?)),
            Check::Hidden(pattern) => {
                let matched = pattern.find(&text.bytes, budget)?;
                (!pattern.is_match(&base.bytes, budget)).then_some((confidence, matched))
            }
            Check::Structure(holds) => holds(&text.bytes).then_some((confidence, &text.bytes[..])),
            Check::Sql | Check::Markup if is_json => None,
            Check::Sql => {
                let head = grammar::head(&text.bytes, budget::SQL_BYTE, limits, budget)?;
                let spoken = grammar::sql(head)?;
                // A grammar that reads from the start of a sentence takes its words for names.
                let is_talk = confidence > WORDS_ONLY && prose::is_prose(spoken);
                Some((if is_talk { WORDS_ONLY } else { confidence }, head))
            }
            Check::Markup => {
                let head = grammar::head(&text.bytes, budget::HTML_BYTE, limits, budget)?;
                grammar::markup(head).then_some((confidence, head))
            }
        }
    }

    /// How sure it may be of `text`, which may be talk. Nobody talks in lookups, and what an operator
    /// wrote is meant as it stands: those keep their confidence.
    pub(super) fn talked_down(&self, confidence: f64, text: &[u8]) -> f64 {
        let reads_words = self.id == "sqli.statement" && confidence > WORDS_ONLY;
        // Whoever wants to be taken for talk would put it where no database reads it.
        if reads_words && prose::is_prose(text) && prose::is_prose(grammar::before_comment(prose::head(text)))
        {
            return WORDS_ONLY;
        }
        let may_be_talk =
            confidence > IN_PROSE && self.class != Class::LookupInjection && self.scope.is_none();
        if may_be_talk && prose::is_prose(text) { IN_PROSE } else { confidence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_met_by_the_whole_name_or_the_last_of_a_nested_one() {
        let scope = Scope { names: vec!["to".into(), "a.b".into()], routes: vec!["shop".into()] };
        let rows = [("to", true), ("TO", true), ("mail.to", true), ("a.b", true), ("b", false), ("", false)];
        for (name, expected) in rows {
            assert_eq!(scope.names(name.as_bytes()), expected, "{name}");
        }
        assert!(scope.routes("shop") && !scope.routes("default"));
        assert!(Scope::default().names(b"x") && Scope::default().routes("x"));
    }
}
