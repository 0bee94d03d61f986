//! How much of a request is read: every bound has a name, a unit and a default.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::content;
use super::finding::Action;
use super::matcher::Compiled;
use super::own::OwnRules;

/// What happens to a request that was not read to its end, because it outgrew a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverLimit {
    /// It is refused: whoever pads a request would choose what is not seen. Its sender is not banned for it.
    #[default]
    Refuse,
    /// What was read decides, and a counter tells how often.
    PassAndCount,
}

/// Whether requests are inspected, and what comes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They pass as they are.
    Off,
    /// They pass, and what would have been refused is kept as an incident.
    Observe,
    /// They are refused by their score.
    #[default]
    Refuse,
}

/// The names of all bounds that an inspection can reach.
pub const NAMES: [&str; 17] = [
    "values",
    "value_bytes",
    "steps",
    "file_bytes",
    "json_depth",
    "decode_depth",
    "base64_bytes",
    "joined_pairs",
    "joined_bytes",
    "grammar_bytes",
    "grammar_total_bytes",
    "findings",
    "decoded_bytes",
    "decoded_ratio",
    "decoded_layers",
    "content_coding",
    CHARSET,
];

/// What is told of a body in characters that are not read, and in which ASCII is other bytes.
pub const CHARSET: &str = "charset";

/// The bounds beyond which parts of a request are not read at all.
const UNREAD: &[&str] = &[
    "values",
    "value_bytes",
    "steps",
    "decoded_bytes",
    "decoded_ratio",
    "decoded_layers",
    "content_coding",
    CHARSET,
];

/// Whether bytes that an application may act on were not read for want of the bound `name`.
pub(super) fn leaves_unread(name: &str) -> bool {
    UNREAD.contains(&name)
}

/// The bounds of one inspection. They are in bytes and steps and not in microseconds: inspection is a
/// function of the request, without a clock, so that the same request has the same verdict on a busy host
/// and on an idle one. They bound the time all the same, since every rule is linear in the bytes it is
/// handed, and `steps` bounds the sum of those. What lies beyond one is not read, and the bound is named in
/// [`Inspection::limits_reached`](super::Inspection::limits_reached).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Whether requests are inspected and what comes of it: `off`, `observe` or `refuse`; a route may say
    /// otherwise. Default refuse.
    pub mode: Mode,
    /// What happens to a request with bytes that were not read for one of these bounds: `refuse` or
    /// `pass-and-count`. Default refuse.
    pub over_limit: OverLimit,
    /// Where the operator's own rules are: files, directories (all `*.toml` in them), or a directory and a
    /// name with one `*`. Default `/etc/skyshield/rules.d/*.toml`, which may be empty or not there.
    pub rules: Vec<PathBuf>,
    /// Ids of rules that are not asked. Default none.
    pub disable: Vec<String>,
    /// Ids of rules whose claims are told of and weigh nothing. Default none.
    pub observe: Vec<String>,
    /// What was read from `rules`.
    #[serde(skip)]
    pub own: OwnRules,
    /// Values read per request: path, parameter names and values, headers, cookies, body fields. Default 10000.
    pub values: usize,
    /// Bytes read of one value, from its start. Default 2097152: more than a door hands on of a body, so
    /// that a long honest value is not refused for its length alone.
    pub value_bytes: usize,
    /// Bytes read of an uploaded file or a body of a binary type, from its start; those beyond never refuse.
    /// Default 65536.
    pub file_bytes: usize,
    /// Work per request, in steps of about a nanosecond: each stage pays for the bytes it reads, at the price
    /// of the worst of them, so that no request takes longer. Default 6000000.
    pub steps: u64,
    /// Nesting of a JSON body whose keys are told apart; deeper strings are read under the deepest key. Default 32.
    pub json_depth: usize,
    /// Layers of encoding taken off one value; of base64 as many beside. Default 4.
    pub decode_depth: usize,
    /// Bytes of a value in base64 that are decoded, from its start. Default 16384.
    pub base64_bytes: usize,
    /// Pairs of a query or a form, from its start, among which those of one name are read joined too. Default 64.
    pub joined_pairs: usize,
    /// Bytes of a value that is joined of several. Default 8192.
    pub joined_bytes: usize,
    /// Bytes of one value given to the SQL and HTML grammars, from its start. Default 4096.
    pub grammar_bytes: usize,
    /// Bytes of one value given to the SQL and HTML grammars, per request; those beyond are left to the patterns. Default 65536.
    pub grammar_total_bytes: usize,
    /// Findings kept per request, the most confident ones. Default 16.
    pub findings: usize,
    /// Characters of `Finding::matched`. Default 120.
    pub matched_chars: usize,
    /// Characters of the name in a `Place`. Default 64.
    pub name_chars: usize,
    /// How far a body in a content coding (`gzip`, `deflate`, `br`, `zstd`) is decoded.
    pub content: content::Config,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            over_limit: OverLimit::default(),
            rules: vec![PathBuf::from("/etc/skyshield/rules.d/*.toml")],
            disable: Vec::new(),
            observe: Vec::new(),
            own: OwnRules::default(),
            values: 10_000,
            value_bytes: 2 * 1024 * 1024,
            file_bytes: 64 * 1024,
            steps: 6_000_000,
            json_depth: 32,
            decode_depth: 4,
            base64_bytes: 16 * 1024,
            joined_pairs: 64,
            joined_bytes: 8 * 1024,
            grammar_bytes: 4 * 1024,
            grammar_total_bytes: 64 * 1024,
            findings: 16,
            matched_chars: 120,
            name_chars: 64,
            content: content::Config::default(),
        }
    }
}

impl Limits {
    /// `rule` with the action that is set for its id; nothing where it is turned off.
    pub(super) fn as_set(&self, mut rule: Compiled) -> Option<Compiled> {
        if self.observe.iter().any(|id| *id == rule.id) {
            rule.action = Action::Observe;
        }
        (!self.disable.iter().any(|id| *id == rule.id)).then_some(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_config_leaves_out_keeps_its_default_and_a_wrong_name_is_refused() {
        let limits: Limits = toml::from_str("values = 7").expect("a known name");
        assert_eq!(limits, Limits { values: 7, ..Limits::default() });
        assert!(toml::from_str::<Limits>("valeus = 7").is_err());
    }
}
