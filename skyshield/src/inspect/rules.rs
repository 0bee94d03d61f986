//! What a rule is, and the built-in ones.

use super::Class;
use super::byteset::ByteSet;
use super::decode::Views;
use super::values::Parts;

mod catalog;
mod command;
mod interpreters;
mod lookup;
mod network;
mod probes;
mod sqli;
mod traversal;
mod xss;

pub use catalog::{RuleInfo, infos};

/// How a rule makes sure, once the prefilter let a text through.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// A regular expression, bytes without case.
    Pattern(&'static str),
    /// The pattern matches this reading and not what the application was handed: someone hid it.
    Hidden(&'static str),
    /// The text is an injection by the SQL grammar.
    Sql,
    /// The text is an injection by the HTML grammar.
    Markup,
    /// What the text is made of, counted.
    Structure(fn(&[u8]) -> bool),
}

/// One rule: where it looks, what a text must hold before it is checked, and how sure it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) id: &'static str,
    pub(super) class: Class,
    /// Above 0.9 it proves an attack by itself; 0.82 to 0.89 refuses and does not ban; below 0.6 is a hint.
    pub(super) confidence: f64,
    pub(super) check: Check,
    pub(super) views: Views,
    pub(super) parts: Parts,
    /// Sets of which a text must hold a byte each; letters are in them in both cases.
    pub(super) needs: [ByteSet; 2],
    /// Words of which a text must hold one, without case; none means no such test.
    pub(super) words: &'static [&'static str],
}

impl Rule {
    const fn new(id: &'static str, class: Class, confidence: f64, check: Check) -> Self {
        const ANY: ByteSet = ByteSet::all();
        Self {
            id,
            class,
            confidence,
            check,
            views: Views::DEEP,
            parts: Parts::INPUT,
            needs: [ANY, ANY],
            words: &[],
        }
    }

    const fn on(self, views: Views) -> Self {
        Self { views, ..self }
    }

    const fn at(self, parts: Parts) -> Self {
        Self { parts, ..self }
    }

    const fn needs(self, first: &[u8], second: &[u8]) -> Self {
        Self { needs: [ByteSet::of_any_case(first), ByteSet::of_any_case(second)], ..self }
    }

    const fn words(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }
}

/// All built-in rules.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    [
        sqli::RULES,
        xss::RULES,
        traversal::RULES,
        command::RULES,
        lookup::RULES,
        interpreters::RULES,
        network::RULES,
        probes::RULES,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_begin_with_their_class() {
        let mut seen = HashSet::new();
        for rule in all() {
            assert!(seen.insert(rule.id), "{} is there twice", rule.id);
            let prefix = match rule.class {
                Class::Sqli => "sqli.",
                Class::Xss => "xss.",
                Class::PathTraversal => "traversal.",
                Class::CommandInjection => "command.",
                Class::LookupInjection => "lookup.",
                Class::Ssrf => "ssrf.",
                Class::TemplateInjection => "template.",
                Class::Xxe => "xxe.",
                Class::NosqlInjection => "nosql.",
                Class::LdapInjection => "ldap.",
                Class::ResponseSplitting => "splitting.",
                Class::PrototypePollution => "pollution.",
                Class::OpenRedirect => "redirect.",
                Class::Deserialization => "object.",
                Class::CodeInjection => "code.",
                Class::RemoteFile => "rfi.",
                Class::MailInjection => "mail.",
                Class::WebShell => {
                    if rule.id.starts_with("upload.") {
                        "upload."
                    } else {
                        "shell."
                    }
                }
                Class::Scanner => "scanner.",
                Class::Probe => "probe.",
                Class::SessionFixation => "session.",
                Class::Policy => panic!("{}: a policy is an operator's", rule.id),
            };
            assert!(rule.id.starts_with(prefix), "{}", rule.id);
        }
    }

    #[test]
    fn no_rule_sits_between_a_refusal_and_a_ban() {
        for rule in all() {
            let hint = rule.confidence < 0.7;
            let refuses = (0.82..0.895).contains(&rule.confidence);
            let proves = (0.92..=1.0).contains(&rule.confidence);
            assert!(hint || refuses || proves, "{} has {}", rule.id, rule.confidence);
        }
    }
}
