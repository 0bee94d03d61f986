//! Rules that operators write: a small TOML form, checked whole before any of it is used.

mod compile;
mod examples;
mod written;

use std::sync::Arc;

use super::RuleInfo;
use super::finding::Action;
use super::limits::Limits;
use super::matcher::Compiled;
use super::rules;

pub use written::{Written, read};

/// Rules at the most: each costs every text a look.
pub const MAX_RULES: usize = 256;
/// What all patterns may compile to, in bytes.
pub const COMPILE_BYTES: usize = 16 * 1024 * 1024;

/// The rules of an operator, in force together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnRules(Arc<[Own]>);

/// One rule, as it was written and as it is asked.
#[derive(Clone, Debug)]
struct Own {
    written: Written,
    /// The name of the file it was in.
    origin: Arc<str>,
    compiled: Compiled,
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written && self.origin == other.origin
    }
}

/// Rules on their way into force: each is checked as it is added.
#[derive(Debug, Default)]
pub struct Draft {
    rules: Vec<Own>,
    bytes: usize,
}

impl Draft {
    /// Adds `written`, which stood in the file `origin`; says what is wrong with it and how to mend it.
    pub fn add(&mut self, written: Written, origin: &Arc<str>) -> Result<(), String> {
        if self.rules.len() >= MAX_RULES {
            return Err(format!(
                "there are more than {MAX_RULES} rules; let one rule look for several words"
            ));
        }
        let id = &written.id;
        if rules::all().any(|rule| rule.id == *id) {
            return Err(format!("`{id}` is a built-in rule; choose another id, such as `own.{id}`"));
        }
        if let Some(other) = self.rules.iter().find(|other| other.written.id == *id) {
            return Err(format!("`{id}` is in {} already; choose another id", other.origin));
        }
        let (compiled, bytes) = compile::compile(&written)?;
        self.bytes += bytes;
        if self.bytes > COMPILE_BYTES {
            let most = COMPILE_BYTES / (1024 * 1024);
            return Err(format!("with `{id}` the patterns come to more than {most} MiB; make them shorter"));
        }
        let rule = Own { written, origin: Arc::clone(origin), compiled };
        examples::run(&rule.written, &rule.compiled)?;
        self.rules.push(rule);
        Ok(())
    }

    /// The rules, all of them.
    pub fn finish(self) -> OwnRules {
        OwnRules(self.rules.into())
    }
}

impl OwnRules {
    fn of(written: Written, compiled: Compiled) -> Self {
        Self([Own { written, origin: Arc::default(), compiled }].into())
    }

    /// The rules, ready to be asked.
    pub(super) fn compiled(&self) -> impl Iterator<Item = Compiled> {
        self.0.iter().map(|rule| rule.compiled.clone())
    }

    /// Whether a rule of this id is among them.
    fn has(&self, id: &str) -> bool {
        self.0.iter().any(|rule| rule.written.id == id)
    }

    /// Each route that a rule names, with the rule's id.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|rule| {
            rule.written.routes.iter().map(|route| (rule.written.id.as_str(), route.as_str()))
        })
    }

    /// The rules, for people.
    fn infos(&self) -> impl Iterator<Item = RuleInfo> {
        self.0.iter().map(|rule| rule.written.info(&rule.origin))
    }
}

/// All rules, for people, with what comes of them under `limits`.
pub fn infos(limits: &Limits) -> impl Iterator<Item = RuleInfo> {
    rules::infos().chain(limits.own.infos()).map(|mut info| {
        if limits.observe.iter().any(|id| *id == info.id) {
            info.action = Some(Action::Observe);
        }
        if limits.disable.iter().any(|id| *id == info.id) {
            info.action = None;
        }
        info
    })
}

/// Whether some rule has this id, or one that begins with what stands before a `*`.
pub fn answers_to(limits: &Limits, named: &str) -> bool {
    infos(limits).any(|rule| match named.strip_suffix('*') {
        Some(start) => rule.id.starts_with(start),
        None => rule.id == named,
    })
}

/// Whether some rule claims attacks of this class.
pub fn has_class(limits: &Limits, named: &str) -> bool {
    infos(limits).any(|rule| rule.class.name() == named)
}

/// What is wrong with the ids that `limits` turn off or observe, if anything: the key and how to mend it.
pub fn unknown_id(limits: &Limits) -> Option<(&'static str, String)> {
    let known = |id: &str| rules::all().any(|rule| rule.id == id) || limits.own.has(id);
    let lists = [("inspect.disable", &limits.disable), ("inspect.observe", &limits.observe)];
    lists.into_iter().find_map(|(key, ids)| {
        let id = ids.iter().find(|id| !known(id))?;
        let nearest = infos(limits)
            .map(|info| (strsim::damerau_levenshtein(id, &info.id), info.id))
            .min_by(Ord::cmp)
            .map(|(_, nearest)| format!("; did you mean `{nearest}`?"));
        Some((key, format!("there is no rule `{id}`{}", nearest.unwrap_or_default())))
    })
}

#[cfg(test)]
mod tests;
