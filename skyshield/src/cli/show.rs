//! What the commands print: tables and sentences for people, JSON for programs.
#![expect(clippy::print_stderr, reason = "what a command prints is its product")]

mod access;
mod alerts;
mod allow;
mod detection;
mod explain;
mod kernel;
mod knowledge;
mod lists;
mod people;
mod status;

use status::door;
pub(super) use status::status;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;

use comfy_table::{ContentArrangement, Table, TableStyle};
use serde_json::{Value, json};

use super::Failure;
use crate::config::{Config, DEFAULT_PATH};
use crate::dataplane::Attached;

pub(super) use access::{audit, audited, token_made, token_revoked, tokens};
pub(super) use alerts::{alerts, alerts_tested, log_level};
pub(super) use allow::{allowed, allows, disallowed, protected};
pub(super) use detection::{against, rehearsed, replayed, rule, rules, tested};
pub(super) use explain::{exception_made, exception_removed, exceptions, explained};
pub(super) use kernel::{bypass, kernel};
pub(super) use knowledge::{bundle, feeds, known, places, providers, refreshed, threats};
pub(super) use lists::imported;
pub(super) use people::{
    codes_made, codes_removed, erased, operator_made, operator_removed, operators, record, top,
};

pub(super) fn failure(failure: &Failure, as_json: bool) {
    if matches!(failure, Failure::Told | Failure::ToldUnreachable) {
        return;
    }
    if as_json {
        put(&json!({ "error": failure.to_string() }));
    } else {
        eprintln!("error: {failure}");
    }
}

pub(super) fn banned(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        let until =
            answer["expires_at"].as_str().map_or("until it is lifted".to_owned(), |at| format!("until {at}"));
        let done = match answer["kind"].as_str() {
            Some("limit") => format!("limited to {} requests a minute:", answer["requests_per_min"]),
            Some("allow") => "let through".to_owned(),
            _ => "banned".to_owned(),
        };
        format!("{done} {} {until} (decision #{})", text(&answer["subject"]), answer["id"])
    });
}

pub(super) fn lifted(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        format!(
            "lifted the {} of {} (decision #{})",
            text(&answer["kind"]),
            text(&answer["subject"]),
            answer["id"]
        )
    });
}

pub(super) fn decisions(rows: &[Value], as_json: bool) {
    listed(
        rows,
        as_json,
        "nothing is in force",
        &["#", "kind", "whom", "by", "why", "comment", "where", "ends", "dropped", "incident"],
        |row| {
            vec![
                row["id"].to_string(),
                text(&row["kind"]),
                text(&row["subject"]),
                text(&row["origin"]),
                text(&row["reason"]),
                text(&row["comment"]),
                text(&row["layer"]),
                row["ttl_seconds"]
                    .as_u64()
                    .map_or("when lifted".to_owned(), |left| format!("in {}", span(left))),
                row["dropped_packets"].as_u64().map_or(String::new(), |packets| packets.to_string()),
                text(&row["incident"]),
            ]
        },
    );
}

pub(super) fn incidents(rows: &[Value], as_json: bool) {
    listed(
        rows,
        as_json,
        "there are no such incidents",
        &["incident", "at", "from", "score", "request", "found"],
        |row| {
            let found =
                row["findings"].as_array().and_then(|all| all.first()).map(|first| text(&first["rule"]));
            vec![
                text(&row["id"]),
                text(&row["at"]),
                text(&row["address"]),
                row["score"].as_f64().map_or(String::new(), |score| format!("{score:.3}")),
                format!("{} {}{}", text(&row["method"]), text(&row["host"]), text(&row["target"])),
                found.unwrap_or_default(),
            ]
        },
    );
}

pub(super) fn incident(row: &Value, as_json: bool) {
    said(row, as_json, || {
        let mut told = vec![
            format!("incident  {}", text(&row["id"])),
            format!("at        {}", text(&row["at"])),
            format!(
                "from      {}{}",
                text(&row["address"]),
                if row["by_proxy"] == true { " (by a trusted proxy)" } else { "" }
            ),
            format!("score     {:.3}", row["score"].as_f64().unwrap_or_default()),
            format!("request   {} {}{}", text(&row["method"]), text(&row["host"]), text(&row["target"])),
        ];
        told.extend(row["terms"].as_array().into_iter().flatten().map(term));
        told.join("\n")
    });
}

/// One line of a score.
fn term(term: &Value) -> String {
    let place =
        if term["place"].is_null() { String::new() } else { format!(" in {}", place(&term["place"])) };
    format!(
        "{:<9} {:.3}  {}{place} (sure {:.2}, weighs {:.2}): {}",
        "adds",
        term["adds"].as_f64().unwrap_or_default(),
        text(&term["rule"]),
        term["confidence"].as_f64().unwrap_or_default(),
        term["weight"].as_f64().unwrap_or_default(),
        text(&term["matched"])
    )
}

/// Where something was found: `query q`, `header User-Agent`, `path`.
fn place(place: &Value) -> String {
    match (text(&place["part"]), text(&place["name"])) {
        (part, _) if part.is_empty() => "request".to_owned(),
        (part, name) if name.is_empty() => part,
        (part, name) => format!("{part} `{name}`"),
    }
}

pub(super) fn reloaded(answer: &Value, as_json: bool) {
    let keys = |name: &str| {
        let keys = answer[name].as_array().into_iter().flatten().map(text);
        keys.collect::<Vec<_>>().join(", ")
    };
    said(answer, as_json, || {
        let (applied, restart) = (keys("applied"), keys("needs_restart"));
        let applied = if applied.is_empty() {
            "nothing has changed".to_owned()
        } else {
            format!("in force: {applied}")
        };
        if restart.is_empty() { applied } else { format!("{applied}\nonly after a restart: {restart}") }
    });
}

pub(super) fn on_trial(answer: &Value, as_json: bool) {
    if !as_json {
        reloaded(answer, as_json);
    }
    said(answer, as_json, || {
        let secs = &answer["confirm_within_secs"];
        let untried = if answer["needs_restart"].as_array().is_some_and(|keys| !keys.is_empty()) {
            "\nnot on trial: what is in force only after a restart; confirming says nothing of it"
        } else {
            ""
        };
        format!(
            "on trial: rolled back in {secs} s, unless `skyshield confirm` says otherwise from a new connection{untried}"
        )
    });
}

pub(super) fn confirmed(answer: &Value, as_json: bool) {
    said(answer, as_json, || format!("confirmed: it is {} from now on", text(&answer["place"])));
}

pub(super) fn rolled_back(answer: &Value, as_json: bool) {
    said(answer, as_json, || "rolled back: all is as it was".to_owned());
}

pub(super) fn diagnosis(items: &[Value], as_json: bool) {
    listed(items, as_json, "nothing was looked at", &["check", "state", "found", "mend"], |item| {
        ["check", "state", "found", "mend"].map(|name| text(&item[name])).to_vec()
    });
}

pub(super) fn upgraded(answer: &Value, as_json: bool) {
    said(answer, as_json, || format!("process {} serves", answer["pid"]));
}

pub(super) fn checked(config: &Config, path: Option<&Path>, as_json: bool) {
    let default = Path::new(DEFAULT_PATH);
    let path = path.or_else(|| default.exists().then_some(default));
    let effective = serde_json::to_value(config).unwrap_or_default();
    let doors = config.forward_auth.sights();
    said(&json!({ "file": path, "effective": effective, "doors": doors }), as_json, || {
        let shown = toml::to_string(config).unwrap_or_default();
        let found = match path {
            Some(path) => format!("{}: nothing is wrong", path.display()),
            None => format!("there is no {DEFAULT_PATH}: the defaults hold"),
        };
        let sights = serde_json::to_value(config.forward_auth.sights()).unwrap_or_default();
        let doors = sights.as_array().into_iter().flatten().map(|sight| format!("{}\n", door(sight)));
        let doors: String = doors.collect();
        let gap = if doors.is_empty() { "" } else { "\n" };
        format!("{found}. In force would be:\n\n{shown}{gap}{doors}")
    });
}

pub(super) fn detached(detached: &[Attached], as_json: bool) {
    let interfaces: Vec<_> = detached.iter().map(|attached| attached.interface.clone()).collect();
    said(&json!({ "detached": interfaces }), as_json, || match interfaces.as_slice() {
        [] => "removed what was pinned; it was attached to no interface of this network namespace".to_owned(),
        interfaces => format!("detached from {}: nothing is dropped any more", interfaces.join(", ")),
    });
}

/// Prints the answer as it is for programs, in words for people.
fn said(answer: &Value, as_json: bool, words: impl FnOnce() -> String) {
    if as_json {
        put(answer);
    } else {
        put(&words());
    }
}

fn listed(
    rows: &[Value],
    as_json: bool,
    nothing: &str,
    titles: &[&str],
    cells: impl Fn(&Value) -> Vec<String>,
) {
    if as_json {
        put(&json!({ "items": rows }));
    } else if rows.is_empty() {
        put(&nothing);
    } else {
        let mut table = Table::new();
        table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(titles.iter().map(|title| title.to_uppercase()));
        table.add_rows(rows.iter().map(cells));
        put(&table);
    }
}

/// Prints bytes as they are.
pub(super) fn raw(bytes: &[u8]) {
    let _closed = io::stdout().lock().write_all(bytes);
}

/// Prints; who reads only the beginning (`| head`) has closed the pipe and misses nothing.
fn put(what: &dyn Display) {
    let _closed = writeln!(io::stdout().lock(), "{what}");
}

/// Text of the daemon's, with nothing in it that a terminal acts on.
fn text(value: &Value) -> String {
    // Numbers as they are; what is not there is nothing.
    let plain = value.as_number().map(ToString::to_string).unwrap_or_default();
    value
        .as_str()
        .unwrap_or(&plain)
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// Seconds as people say them: the two greatest units.
fn span(secs: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut left = secs;
    let mut parts = Vec::new();
    for (size, unit) in units {
        if left >= size {
            parts.push(format!("{}{unit}", left / size));
            left %= size;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_their_two_greatest_units() {
        for (secs, said) in [(0, "0s"), (59, "59s"), (3600, "1h"), (3661, "1h 1m"), (90_061, "1d 1h")] {
            assert_eq!(span(secs), said);
        }
    }

    #[test]
    fn a_terminal_is_not_spoken_to_by_strangers() {
        assert_eq!(text(&json!("a\u{1b}[31mb\n")), "a\\u{1b}[31mb\\n");
    }
}
