//! A list of objects, as the API shows decisions.

use serde::Deserialize;
use serde_json::Value;

use super::span::span;
use super::{Line, Problem, Read, Span, about};
use crate::engine::ruling::Kind;

#[derive(Deserialize)]
struct Row {
    #[serde(alias = "source")]
    subject: Option<String>,
    kind: Option<Kind>,
    ttl: Option<String>,
    ttl_seconds: Option<u64>,
    reason: Option<String>,
    comment: Option<String>,
    requests_per_min: Option<u32>,
}

pub(super) fn read(text: &str) -> Read {
    let mut read = Read::default();
    let rows = match serde_json::from_str(text) {
        Ok(Value::Array(rows)) => rows,
        Ok(Value::Object(mut page)) if page.get("items").is_some_and(Value::is_array) => {
            match page.remove("items") {
                Some(Value::Array(rows)) => rows,
                _ => Vec::new(),
            }
        }
        Ok(_) => {
            let what = "a list is expected: [{\"subject\": \"203.0.113.7\"}]".to_owned();
            read.problems.push(Problem { line: 1, what });
            return read;
        }
        Err(error) => {
            read.problems.push(Problem { line: error.line(), what: error.to_string() });
            return read;
        }
    };
    // A parsed list has no lines any more: entries are counted.
    for (at, row) in rows.into_iter().enumerate() {
        read.take(at + 1, line(at + 1, row));
    }
    read
}

fn line(number: usize, row: Value) -> Result<Option<Line>, String> {
    if let Value::String(subject) = row {
        return about(&subject, Kind::Ban).map(|about| Some(super::plain::ban(number, about, None)));
    }
    let mut row = row;
    // Both may be there, and say the same.
    if let Value::Object(fields) = &mut row
        && fields.contains_key("subject")
    {
        fields.remove("source");
    }
    let row: Row = serde_json::from_value(row).map_err(|error| error.to_string())?;
    let kind = row.kind.unwrap_or(Kind::Ban);
    let about = about(&row.subject.ok_or("`subject` is missing")?, kind)?;
    let found = match (row.ttl, row.ttl_seconds) {
        (Some(ttl), _) => span(&ttl)?,
        (None, Some(secs)) => span(&secs.to_string())?,
        (None, None) => Some(Span::Unsaid),
    };
    let Some(span) = found else { return Ok(None) };
    let (reason, comment) = (row.reason, row.comment);
    let requests_per_min = row.requests_per_min.unwrap_or_default();
    Ok(Some(Line { number, kind, about, span, reason, comment, requests_per_min }))
}
