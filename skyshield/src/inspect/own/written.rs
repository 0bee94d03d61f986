//! The form that operators write a rule in.

use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use crate::inspect::decode::Views;
use crate::inspect::finding::{Action, Class};
use crate::inspect::rules::RuleInfo;
use crate::inspect::values::Parts;

/// One rule, as written. Lists that are left out are empty.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Its name, unlike that of any other rule: `own.full-export`.
    pub id: String,
    /// What it looks for, in a sentence.
    pub description: String,
    /// The kind of attack it claims. Default `policy`: what this installation does not want.
    #[serde(default = "policy")]
    pub class: Class,
    /// Where it looks. Default path, query and body.
    #[serde(default)]
    pub place: Vec<Spot>,
    /// Names of the parameters, fields, cookies or headers it looks at; none is all.
    #[serde(default)]
    pub names: Vec<String>,
    /// Which readings of a value it looks at. Default `deep`.
    #[serde(default)]
    pub transformation: Vec<Reading>,
    /// What it looks for.
    #[serde(rename = "match")]
    pub pattern: Match,
    /// How sure it is, 0 to 1. Default 0.85: enough to refuse, not to ban.
    #[serde(default = "sure")]
    pub confidence: f64,
    /// What comes of it: `weigh`, `refuse` or `observe`. Default weigh.
    #[serde(default)]
    pub action: Action,
    /// Names of the routes it looks at; none is all.
    #[serde(default)]
    pub routes: Vec<String>,
    /// For the operator's own order.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Where the weakness is described.
    #[serde(default)]
    pub references: Vec<String>,
    /// Values that it must and must not match, tried whenever the rules are read.
    pub examples: Examples,
}

/// What a rule looks for: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// A regular expression over bytes; no look-around, no back-references.
    pub regex: Option<String>,
    /// One of these, anywhere.
    pub contains: Vec<String>,
    /// One of these, and nothing else.
    pub equals: Vec<String>,
    /// One of these, at the start.
    pub starts_with: Vec<String>,
    /// One of these, at the end.
    pub ends_with: Vec<String>,
    /// Whether `A` and `a` are two letters. Default false.
    pub case_sensitive: bool,
}

/// Values to try a rule with.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examples {
    /// Those it must match.
    pub hit: Vec<String>,
    /// Those it must let through.
    pub miss: Vec<String>,
}

/// A part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spot {
    /// The path, without the query.
    Path,
    /// Names and values of the query.
    Query,
    /// Names and values of a form, JSON, XML or multipart body.
    Body,
    /// A body that is none of these, as one text.
    Text,
    /// Names and values of cookies.
    Cookie,
    /// Header lines.
    Header,
    /// What the client calls itself.
    Agent,
    /// The name of an uploaded file.
    Filename,
    /// What is in an uploaded file.
    File,
}

/// A reading of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// One layer of encoding taken off: what an application is handed.
    Once,
    /// All layers of percent signs, escapes, overlong and full-width characters taken off.
    Deep,
    /// Deep, with HTML entities resolved.
    Html,
    /// Deep, with SQL comments as white space.
    Sql,
    /// Deep, with shell quoting taken out.
    Shell,
    /// Deep, with `${…}` nesting resolved.
    Lookup,
    /// Deep, with one kind of slash.
    Path,
}

/// A file of rules.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Spanned<Written>>,
}

/// The rules in the file `text`, each with where in it.
pub fn read(text: &str) -> Result<Vec<(Range<usize>, Written)>, toml::de::Error> {
    let File { rule } = toml::from_str(text)?;
    Ok(rule.into_iter().map(|rule| (rule.span(), rule.into_inner())).collect())
}

const fn policy() -> Class {
    Class::Policy
}

const fn sure() -> f64 {
    0.85
}

impl Written {
    pub(super) fn parts(&self) -> Parts {
        let default = [Spot::Path, Spot::Query, Spot::Body];
        let spots = if self.place.is_empty() { &default[..] } else { &self.place };
        spots.iter().fold(Parts::NONE, |parts, spot| parts.and(spot.parts()))
    }

    pub(super) fn views(&self) -> Views {
        match self.transformation.as_slice() {
            [] => Views::DEEP,
            [first, rest @ ..] => rest.iter().fold(first.view(), |views, next| views.and(next.view())),
        }
    }

    pub(super) fn info(&self, origin: &Arc<str>) -> RuleInfo {
        let own = |list: &[String]| list.iter().map(|text| text.clone().into()).collect();
        RuleInfo {
            id: self.id.clone().into(),
            class: self.class,
            confidence: self.confidence,
            action: Some(self.action),
            origin: origin.to_string().into(),
            about: self.description.clone().into(),
            references: own(&self.references),
            tags: own(&self.tags),
            attacks: own(&self.examples.hit),
            honest: own(&self.examples.miss),
        }
    }
}

impl Spot {
    pub(super) fn parts(self) -> Parts {
        match self {
            Self::Path => Parts::PATH,
            Self::Query => Parts::QUERY,
            Self::Body => Parts::FIELD,
            Self::Text => Parts::TEXT,
            Self::Cookie => Parts::COOKIE,
            Self::Header => Parts::HEADER.and(Parts::BROWSER).and(Parts::AGENT).and(Parts::REFERER),
            Self::Agent => Parts::AGENT,
            Self::Filename => Parts::FILENAME,
            Self::File => Parts::FILE,
        }
    }
}

impl Reading {
    fn view(self) -> Views {
        match self {
            Self::Once => Views::BASE,
            Self::Deep => Views::DEEP,
            Self::Html => Views::HTML,
            Self::Sql => Views::SQL,
            Self::Shell => Views::SHELL,
            Self::Lookup => Views::LOOKUP,
            Self::Path => Views::PATH,
        }
    }
}
