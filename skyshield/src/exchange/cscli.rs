//! What `cscli decisions list` prints, as JSON or raw, and what `cscli decisions import` reads.

use serde::Deserialize;
use serde_json::Value;

use super::span::span;
use super::{Line, Problem, Read, about};
use crate::engine::ruling::Kind;

/// Requests a minute that a decision to throttle comes to: it does not say how many.
const THROTTLED: u32 = 60;

#[derive(Default, Deserialize)]
struct Row {
    #[serde(default)]
    duration: String,
    #[serde(default, alias = "reason")]
    scenario: String,
    #[serde(default)]
    scope: String,
    #[serde(default, rename = "type", alias = "action")]
    kind: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    simulated: bool,
}

/// Whether `line` names the columns of the raw list.
pub(super) fn is_raw(line: &str) -> bool {
    line.starts_with("id,source,ip,") || line.contains("scope,") && line.contains("value")
}

pub(super) fn read(text: &str) -> Read {
    let mut read = Read::default();
    let begins = text.trim_start();
    if !begins.starts_with(['[', '{']) && begins.trim_end() != "null" {
        raw(text, &mut read);
        return read;
    }
    match serde_json::from_str::<Option<Vec<Value>>>(text) {
        Ok(alerts) => {
            for (at, alert) in alerts.unwrap_or_default().into_iter().enumerate() {
                match alert.get("decisions").cloned() {
                    Some(Value::Array(decisions)) => {
                        for one in decisions {
                            read.take(at + 1, entry(at + 1, one));
                        }
                    }
                    Some(Value::Null) => {}
                    Some(_) => read.take(at + 1, Err("`decisions` is no list".to_owned())),
                    None => read.take(at + 1, entry(at + 1, alert)),
                }
            }
        }
        Err(error) => read.problems.push(Problem { line: error.line(), what: error.to_string() }),
    }
    read
}

fn entry(number: usize, decision: Value) -> Result<Option<Line>, String> {
    let row: Row = serde_json::from_value(decision).map_err(|error| error.to_string())?;
    line(number, &row)
}

/// `id,source,ip,reason,action,country,as,events_count,expiration,simulated,alert_id`, where `ip` is
/// `Ip:203.0.113.7`; or the columns that an import has.
fn raw(text: &str, read: &mut Read) {
    let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = rows.headers().cloned().unwrap_or_default();
    for row in rows.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(0, |at| usize::try_from(at.line()).unwrap_or_default());
                read.problems.push(Problem { line, what: error.to_string() });
                continue;
            }
        };
        let number = row.position().map_or(0, |at| usize::try_from(at.line()).unwrap_or_default());
        let cell = |known: &[&str]| {
            let at = names.iter().position(|name| known.contains(&name));
            at.and_then(|at| row.get(at)).unwrap_or_default().to_owned()
        };
        let named = cell(&["ip"]);
        let (scope, value) = named.split_once(':').unwrap_or_default();
        let of_import = cell(&["value"]);
        let is_listed = of_import.is_empty();
        let decision = Row {
            duration: cell(&["expiration", "duration"]),
            scenario: cell(&["reason", "scenario"]),
            scope: if is_listed { scope.to_owned() } else { cell(&["scope"]) },
            kind: cell(&["action", "type"]),
            value: if is_listed { value.to_owned() } else { of_import },
            simulated: cell(&["simulated"]) == "true",
        };
        read.take(number, line(number, &decision));
    }
}

fn line(number: usize, row: &Row) -> Result<Option<Line>, String> {
    let kind = match row.kind.to_ascii_lowercase().as_str() {
        "" | "ban" => Kind::Ban,
        "throttle" => Kind::Limit,
        other => {
            return Err(format!(
                "`{}` is nothing that is done here; ban and throttle are",
                other.escape_debug()
            ));
        }
    };
    let subject = match row.scope.to_ascii_lowercase().as_str() {
        "" | "ip" | "range" => row.value.clone(),
        "as" => format!("asn:{}", row.value),
        "country" => format!("country:{}", row.value),
        "username" | "user" => format!("user:{}", row.value),
        other => return Err(format!("decisions about `{}` are not known here", other.escape_debug())),
    };
    let about = about(&subject, kind)?;
    // What was only simulated was never in force.
    let found = if row.simulated { None } else { span(&row.duration)? };
    let reason = Some(row.scenario.clone()).filter(|reason| !reason.is_empty());
    let requests_per_min = if kind == Kind::Limit { THROTTLED } else { 0 };
    Ok(found.map(|span| Line { number, kind, about, span, reason, comment: None, requests_per_min }))
}
