//! Writing lists that others read.

use std::fmt::Write as _;

use serde_json::json;

use super::Format;
use crate::engine::ruling::{Kind, Subject};

/// A decision that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// What is done.
    pub kind: Kind,
    /// To whom.
    pub subject: Subject,
    /// For how many seconds more; none is until it is lifted.
    pub ttl_secs: Option<u64>,
    /// On whose authority.
    pub origin: &'static str,
    /// Why.
    pub reason: String,
    /// What is noted beside it.
    pub comment: Option<String>,
    /// Of a limit.
    pub requests_per_min: u32,
}

/// A text of `decisions`; what a format cannot say is left out, and how many that were is told.
pub fn export(decisions: &[Exported], format: Format) -> (String, usize) {
    match format {
        Format::Csv => (csv(decisions), 0),
        Format::Json => {
            let rows: Vec<_> = decisions.iter().map(row).collect();
            (serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n", 0)
        }
        Format::Plain => lines(decisions, |text, subject| _ = writeln!(text, "{subject}")),
        Format::Fail2ban => {
            let (addresses, left_out) = lines(decisions, |text, subject| {
                let comma = if text.is_empty() { "" } else { ", " };
                _ = write!(text, "{comma}'{subject}'");
            });
            (format!("[{{'skyshield': [{addresses}]}}]\n"), left_out)
        }
        Format::Cscli => cscli(decisions),
    }
}

fn row(one: &Exported) -> serde_json::Value {
    json!({
        "kind": one.kind, "subject": one.subject.to_string(), "ttl_seconds": one.ttl_secs,
        "ttl": one.ttl_secs.map_or_else(|| "forever".to_owned(), |secs| format!("{secs}s")),
        "origin": one.origin, "reason": one.reason, "comment": one.comment,
        "requests_per_min": (one.kind == Kind::Limit).then_some(one.requests_per_min),
    })
}

fn csv(decisions: &[Exported]) -> String {
    let mut out = csv::Writer::from_writer(Vec::new());
    // Into memory: nothing there can fail.
    let _written =
        out.write_record(["subject", "kind", "ttl", "origin", "reason", "comment", "requests_per_min"]);
    for one in decisions {
        let rate = if one.kind == Kind::Limit { one.requests_per_min.to_string() } else { String::new() };
        let _written = out.write_record([
            cell(&one.subject.to_string()),
            one.kind.name().to_owned(),
            one.ttl_secs.map_or_else(|| "forever".to_owned(), |secs| format!("{secs}s")),
            one.origin.to_owned(),
            cell(&one.reason),
            cell(one.comment.as_deref().unwrap_or_default()),
            rate,
        ]);
    }
    out.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// Text that a spreadsheet does not run.
fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() }
}

/// Bans of addresses and prefixes; of nothing else does such a list know.
fn lines(decisions: &[Exported], mut write: impl FnMut(&mut String, &Subject)) -> (String, usize) {
    let mut text = String::new();
    let mut left_out = 0;
    for one in decisions {
        match (&one.subject, one.kind) {
            (Subject::Source(_), Kind::Ban) => write(&mut text, &one.subject),
            _ => left_out += 1,
        }
    }
    (text, left_out)
}

fn cscli(decisions: &[Exported]) -> (String, usize) {
    let mut left_out = 0;
    let mut rows = Vec::new();
    for one in decisions {
        let (scope, value) = match &one.subject {
            Subject::Source(source) if source.is_host() => ("ip", source.to_string()),
            Subject::Source(source) => ("range", source.to_string()),
            Subject::Asn(number) => ("as", number.to_string()),
            Subject::Country(country) => ("country", country.to_string()),
            Subject::User(name) => ("username", name.to_string()),
        };
        let kind = match one.kind {
            Kind::Ban => "ban",
            Kind::Limit => "throttle",
            Kind::Allow => {
                left_out += 1;
                continue;
            }
        };
        // There, nothing lasts for good: a hundred years come close.
        let secs = one.ttl_secs.unwrap_or(100 * 365 * 86_400);
        let duration = format!("{}h{}m{}s", secs / 3600, secs / 60 % 60, secs % 60);
        rows.push(json!({
            "duration": duration, "reason": one.reason, "scope": scope, "type": kind, "value": value,
        }));
    }
    (serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n", left_out)
}
