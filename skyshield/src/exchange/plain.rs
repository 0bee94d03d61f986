//! A subject a line; what follows a `#` is a comment.

use super::{About, Line, Read, Span, about};
use crate::engine::ruling::Kind;

pub(super) fn read(text: &str) -> Read {
    let mut read = Read::default();
    for (at, line) in text.lines().enumerate() {
        let (subject, comment) = line.split_once(['#', ';']).unwrap_or((line, ""));
        if subject.trim().is_empty() {
            continue;
        }
        let comment = Some(comment.trim().to_owned()).filter(|comment| !comment.is_empty());
        let line = about(subject.trim(), Kind::Ban);
        read.take(at + 1, line.map(|about| Some(ban(at + 1, about, comment))));
    }
    read
}

pub(super) fn ban(number: usize, about: About, comment: Option<String>) -> Line {
    Line { number, kind: Kind::Ban, about, span: Span::Unsaid, reason: None, comment, requests_per_min: 0 }
}
