//! What a detector claims of a request: with rule, place and confidence.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::limits;

/// The kind of attack a finding claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// SQL injection.
    Sqli,
    /// Cross-site scripting.
    Xss,
    /// Leaving the document root, or naming files outside it.
    PathTraversal,
    /// Operating system commands in a value.
    CommandInjection,
    /// `${jndi:…}` and its disguises.
    LookupInjection,
    /// Requests that the server is talked into making.
    Ssrf,
    /// Expressions for a template engine.
    TemplateInjection,
    /// XML that names what lies outside it.
    Xxe,
    /// Operators and scripts for a document store.
    NosqlInjection,
    /// Filters for a directory.
    LdapInjection,
    /// Header lines in a value.
    ResponseSplitting,
    /// Writing to what all objects of a script inherit from.
    PrototypePollution,
    /// A way to another site that looks like one within.
    OpenRedirect,
    /// Objects that act when they are read back.
    Deserialization,
    /// Code for the server's own language.
    CodeInjection,
    /// A script to include from elsewhere.
    RemoteFile,
    /// Commands and headers for a mail server.
    MailInjection,
    /// A program uploaded, or one asked for that was.
    WebShell,
    /// A tool that looks for holes.
    Scanner,
    /// A request that only serves a known hole.
    Probe,
    /// A session that somebody else chose.
    SessionFixation,
    /// What an operator's own rule does not want.
    Policy,
}

impl Class {
    /// The class's name in the configuration, the API and the store.
    pub fn name(self) -> String {
        // A class without data is a plain string, whatever the format.
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Where the weakness (CWE) and the attack (CAPEC) are described.
    pub const fn references(self) -> [&'static str; 2] {
        match self {
            Self::Sqli => ["CWE-89", "CAPEC-66"],
            Self::Xss => ["CWE-79", "CAPEC-63"],
            Self::PathTraversal => ["CWE-22", "CAPEC-126"],
            Self::CommandInjection => ["CWE-78", "CAPEC-88"],
            Self::LookupInjection => ["CWE-917", "CAPEC-136"],
            Self::Ssrf => ["CWE-918", "CAPEC-664"],
            Self::TemplateInjection => ["CWE-1336", "CAPEC-242"],
            Self::Xxe => ["CWE-611", "CAPEC-221"],
            Self::NosqlInjection => ["CWE-943", "CAPEC-676"],
            Self::LdapInjection => ["CWE-90", "CAPEC-136"],
            Self::ResponseSplitting => ["CWE-113", "CAPEC-34"],
            Self::PrototypePollution => ["CWE-1321", "CAPEC-77"],
            Self::OpenRedirect => ["CWE-601", "CAPEC-194"],
            Self::Deserialization => ["CWE-502", "CAPEC-586"],
            Self::CodeInjection => ["CWE-94", "CAPEC-242"],
            Self::RemoteFile => ["CWE-98", "CAPEC-193"],
            Self::MailInjection => ["CWE-93", "CAPEC-134"],
            Self::WebShell => ["CWE-434", "CAPEC-650"],
            Self::Scanner => ["CWE-200", "CAPEC-310"],
            Self::Probe => ["CWE-1395", "CAPEC-310"],
            Self::SessionFixation => ["CWE-384", "CAPEC-61"],
            Self::Policy => ["CWE-284", "CAPEC-1"],
        }
    }
}

/// What comes of a rule's claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It counts in the score.
    #[default]
    Weigh,
    /// The request is refused, whatever its score.
    Refuse,
    /// It is told of and weighs nothing.
    Observe,
}

/// How sure a finding is: 0 is nothing, 1 is certain.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Confidence(f64);

impl Confidence {
    /// A confidence, held to 0..=1; what is no number is 0.
    pub const fn new(value: f64) -> Self {
        if value > 1.0 {
            Self(1.0)
        } else if value > 0.0 {
            Self(value)
        } else {
            Self(0.0)
        }
    }

    /// The confidence, 0 to 1.
    pub const fn value(self) -> f64 {
        self.0
    }
}

/// Where in the request a finding's bytes were.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "part", content = "name", rename_all = "snake_case")]
pub enum Place {
    /// The path of the target.
    Path,
    /// A parameter of the query; its name, shortened.
    Query(String),
    /// A header; its name, shortened.
    Header(String),
    /// A field of the body; its name or path, shortened.
    Body(String),
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The rule's id, stable across releases: `sqli.union-select`.
    pub rule: Cow<'static, str>,
    /// The kind of attack.
    pub class: Class,
    /// Where the bytes were.
    pub place: Place,
    /// How sure the rule is.
    pub confidence: Confidence,
    /// The bytes that matched, as text, shortened and with control characters escaped.
    pub matched: String,
}

/// All that inspection has to say of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inspection {
    /// The claims, most confident first.
    pub findings: Vec<Finding>,
    /// The claims of rules that only observe, likewise: they weigh nothing.
    pub observed: Vec<Finding>,
    /// The rules that matched and whose action is to refuse, whatever the score.
    pub demanded_by: Vec<Cow<'static, str>>,
    /// The names of the limits that were reached: what lay beyond them was not read.
    pub limits_reached: Vec<&'static str>,
}

impl Inspection {
    /// The first of the limits reached beyond which values were not read, if any was.
    pub fn left_unread(&self) -> Option<&'static str> {
        self.limits_reached.iter().copied().find(|name| limits::leaves_unread(name))
    }
}
