//! Decisions in other programs' words: lists that are read and written. Texts in, decisions out; no IO.

mod cscli;
mod csv;
mod fail2ban;
mod json;
mod plain;
mod span;
mod write;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::engine::allow::Whom;
use crate::engine::ruling::{Kind, Subject};

pub use write::{Exported, export};

/// Problems of one text that are told; the rest are counted.
pub const MAX_PROBLEMS: usize = 100;

/// How a list of decisions is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A subject a line.
    Plain,
    /// With a line of names: `subject,kind,ttl,reason,comment,requests_per_min`, in any order.
    Csv,
    /// A list of objects with the same names.
    Json,
    /// What `fail2ban-client banned`, `status JAIL` and `get JAIL banip --with-time` print.
    Fail2ban,
    /// What `cscli decisions list -o json` and `-o raw` print, and `cscli decisions import` reads.
    Cscli,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Csv, Self::Json, Self::Fail2ban, Self::Cscli];

    /// The format's name on the command line and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Fail2ban => "fail2ban",
            Self::Cscli => "cscli",
        }
    }
}

/// There is no such format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format; there are plain, csv, json, fail2ban and cscli")]
pub struct NoSuchFormat(String);

impl FromStr for Format {
    type Err = NoSuchFormat;

    fn from_str(text: &str) -> Result<Self, NoSuchFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| NoSuchFormat(text.chars().take(40).collect()))
    }
}

/// Whom a line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// An address, a prefix, a network, a country or a user.
    Subject(Subject),
    /// A DNS name, to be let through.
    Name(Whom),
}

impl fmt::Display for About {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => subject.fmt(out),
            Self::Name(name) => name.fmt(out),
        }
    }
}

/// For how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The text does not say: whoever asks does.
    Unsaid,
    /// For this long.
    For(Duration),
    /// Until it is lifted.
    Forever,
}

/// A decision as it is written somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line it begins in, from 1.
    pub number: usize,
    /// What is done.
    pub kind: Kind,
    /// To whom.
    pub about: About,
    /// For how long.
    pub span: Span,
    /// Why, where it says.
    pub reason: Option<String>,
    /// What is noted beside it.
    pub comment: Option<String>,
    /// Of a limit.
    pub requests_per_min: u32,
}

/// What is wrong with a line, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// What a text comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The decisions.
    pub lines: Vec<Line>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Decisions whose time was over when they were written.
    pub over: usize,
}

impl Read {
    fn take(&mut self, number: usize, line: Result<Option<Line>, String>) {
        match line {
            Ok(Some(line)) => self.lines.push(line),
            Ok(None) => self.over += 1,
            Err(what) => self.problems.push(Problem { line: number, what }),
        }
    }
}

/// The decisions that `text` says; in the format that it looks like, where none is named.
pub fn read(text: &str, format: Option<Format>) -> Read {
    match format.unwrap_or_else(|| guess(text)) {
        Format::Plain => plain::read(text),
        Format::Csv => csv::read(text),
        Format::Json => json::read(text),
        Format::Fail2ban => fail2ban::read(text),
        Format::Cscli => cscli::read(text),
    }
}

/// The format that `text` looks like.
pub fn guess(text: &str) -> Format {
    let begins = text.trim_start();
    if begins.starts_with("[{'") || begins.contains("Banned IP list:") || fail2ban::is_timed(begins) {
        return Format::Fail2ban;
    }
    if begins.starts_with(['[', '{']) {
        let of_cscli = begins.contains("\"scenario\"") || begins.contains("\"scope\"") || begins == "null";
        return if of_cscli { Format::Cscli } else { Format::Json };
    }
    let first = begins.lines().find(|line| !line.trim_start().starts_with('#')).unwrap_or_default();
    match first {
        line if cscli::is_raw(line) => Format::Cscli,
        line if line.contains(',') => Format::Csv,
        _ => Format::Plain,
    }
}

fn about(text: &str, kind: Kind) -> Result<About, String> {
    match text.parse::<Subject>() {
        Ok(subject) => Ok(About::Subject(subject)),
        Err(error) if kind == Kind::Allow => match text.parse::<Whom>() {
            Ok(name @ Whom::Name(_)) => Ok(About::Name(name)),
            Ok(Whom::Source(_)) | Err(_) => Err(error.to_string()),
        },
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
