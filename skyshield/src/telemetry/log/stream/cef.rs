//! The Common Event Format, version 0: a head between bars, and pairs of a fixed dictionary.

use std::fmt::Write as _;

use tracing::Level;

use super::super::escape::{Escaping, is_odd};
use super::record::Record;

/// Our fields by the dictionary's names; what has no name of its own there has a labelled one.
const NAMES: &[(&str, &str)] = &[
    ("address", "src"),
    ("source", "src"),
    ("act", "act"),
    ("reason", "reason"),
    ("incident", "externalId"),
    ("host", "dhost"),
    ("method", "requestMethod"),
    ("target", "request"),
    ("operator", "suser"),
];
const LABELLED: &[(&str, &str)] = &[
    ("rule", "cs1"),
    ("route", "cs2"),
    ("door", "cs3"),
    ("origin", "cs4"),
    ("country", "cs5"),
    ("comment", "cs6"),
    ("decision", "cn1"),
    ("ttl_secs", "cn2"),
    ("asn", "cn3"),
    ("score", "cfp1"),
];

pub(super) fn line(record: &Record) -> String {
    let severity = match record.level {
        Level::ERROR => 8,
        Level::WARN => 6,
        Level::INFO => 4,
        Level::DEBUG | Level::TRACE => 1,
    };
    let mut line = format!("CEF:0|SkyShield|skyshield|{}|", env!("CARGO_PKG_VERSION"));
    in_head(&mut line, &record.kind);
    line.push('|');
    in_head(&mut line, &record.message);
    // A `String` takes everything.
    let _never = write!(line, "|{severity}|rt={}", record.at.as_millisecond());
    for (name, text) in record.texts() {
        if let Some((_, key)) = NAMES.iter().find(|(ours, _)| *ours == name) {
            let _never = write!(line, " {key}=");
        } else if let Some((_, key)) = LABELLED.iter().find(|(ours, _)| *ours == name) {
            let _never = write!(line, " {key}Label={name} {key}=");
        } else {
            continue;
        }
        in_extension(&mut line, &text);
    }
    line
}

fn in_head(line: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' | '|' => line.extend(['\\', character]),
            odd if is_odd(odd) => line.push(' '),
            plain => line.push(plain),
        }
    }
}

fn in_extension(line: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' | '=' => line.extend(['\\', character]),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            other => {
                let _never = Escaping(&mut *line).write_char(other);
            }
        }
    }
}
