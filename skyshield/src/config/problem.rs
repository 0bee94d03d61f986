//! What is wrong in a configuration file: where, what, and how to mend it.

use std::fmt;

/// One thing that is wrong. Shown as `line:column: what` or `line: what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    line: usize,
    column: Option<usize>,
    what: String,
}

impl Problem {
    /// What the parser says of `text`; an unknown key comes with the nearest known one.
    pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let what =
            unknown_key(error.message()).unwrap_or_else(|| error.message().trim_end().replace('\n', "; "));
        Self::at(text, error.span().map_or(0, |span| span.start), what)
    }

    /// What is wrong with what begins at the byte `start` of `text`.
    pub(super) fn at(text: &str, start: usize, what: String) -> Self {
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: Some(before[line_start..].chars().count() + 1),
            what,
        }
    }

    /// What is wrong with the value of `key` (`section.name`, the section nested or not) in `text`; of a list of
    /// tables, at the first of them.
    pub(super) fn of_key(text: &str, key: &str, what: &str) -> Self {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let mut inside = section.is_empty();
        let (mut found, table) = (1, format!("[[{key}]]"));
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line == table && found == 1 {
                found = at + 1;
            }
            if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                inside = header.trim() == section;
            }
            let is_key = line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='));
            if inside && is_key {
                found = at + 1;
            }
        }
        Self { line: found, column: None, what: format!("{key}: {what}") }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            Some(column) => write!(out, "{}:{column}: {}", self.line, self.what),
            None => write!(out, "{}: {}", self.line, self.what),
        }
    }
}

impl std::error::Error for Problem {}

/// The parser's words on an unknown key, with the nearest of those it would have known.
fn unknown_key(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let key = quoted.next()?;
    let known: Vec<_> = quoted.collect();
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(key, candidate), candidate))
        .filter(|&(distance, candidate)| distance * 2 <= candidate.len().max(3))
        .min();
    Some(match nearest {
        Some((_, nearest)) => format!("unknown key `{key}`; did you mean `{nearest}`?"),
        None if known.is_empty() => format!("unknown key `{key}`; there are no keys here"),
        None => format!("unknown key `{key}`; known here: {}", known.join(", ")),
    })
}
