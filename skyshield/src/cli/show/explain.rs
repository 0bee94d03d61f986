//! What `explain` and `exceptions` print.

use serde_json::Value;

use super::{listed, said, span, term, text};

pub(in crate::cli) fn explained(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        if answer["incident"].is_object() {
            incident(answer)
        } else if answer["answer"].is_string() {
            turned_away(answer)
        } else {
            source(answer)
        }
    });
}

fn incident(answer: &Value) -> String {
    let incident = &answer["incident"];
    let mut told = vec![
        format!("incident  {} at {}", text(&incident["id"]), text(&incident["at"])),
        format!("from      {}", text(&incident["address"])),
        format!(
            "request   {} {}{} (route {})",
            text(&incident["method"]),
            text(&incident["host"]),
            text(&incident["target"]),
            text(&incident["route"])
        ),
        format!("score     {:.3}  the sum of:", incident["score"].as_f64().unwrap_or_default()),
    ];
    told.extend(rows(&incident["terms"]).map(term));
    told.push(format!("so        {}: {}", text(&incident["act"]), text(&answer["why"])));
    if answer["change"].is_object() {
        told.push(format!("change    {}", text(&answer["change"]["says"])));
    }
    told.extend(rows(&answer["exceptions"]).map(|scope| format!("exception {}", command(scope))));
    if rows(&answer["exceptions"]).next().is_some() {
        told.push(format!("          {}", preview(&answer["preview"])));
        told.push(format!("          without --source: {}", preview(&answer["preview_for_all"])));
    }
    told.extend(ban(&answer["ban"]));
    told.extend(unwanted(&answer["unwanted_by"]));
    told.join("\n")
}

fn turned_away(answer: &Value) -> String {
    let mut told = vec![
        format!("answer    {} at {}", text(&answer["answer"]), text(&answer["at"])),
        format!("to        {}", text(&answer["address"])),
        format!("so        turned away: {}", text(&answer["why"])),
    ];
    told.extend(ban(&answer["ban"]));
    told.extend(unwanted(&answer["unwanted_by"]));
    told.join("\n")
}

fn unwanted(by: &Value) -> Option<String> {
    by.as_str().map(|by| format!("refused   by the {by}, whatever it asks for"))
}

fn source(answer: &Value) -> String {
    let mut told = vec![
        format!("source    {}", text(&answer["address"])),
        format!(
            "score     {:.3}  of a request in which nothing is found; the sum of:",
            answer["score"].as_f64().unwrap_or_default()
        ),
    ];
    told.extend(rows(&answer["terms"]).map(term));
    told.extend(ban(&answer["ban"]));
    told.extend(unwanted(&answer["unwanted_by"]));
    told.extend(rows(&answer["incidents"]).map(|row| {
        format!(
            "incident  {} {:.3} {} {}{}",
            text(&row["id"]),
            row["score"].as_f64().unwrap_or_default(),
            text(&row["method"]),
            text(&row["host"]),
            text(&row["target"])
        )
    }));
    told.join("\n")
}

/// The command that makes an exception of this scope.
fn command(scope: &Value) -> String {
    let mut words = vec!["skyshield exceptions add".to_owned()];
    words.extend(rows(&scope["rules"]).map(|rule| format!("--rule '{}'", text(rule))));
    for name in ["place", "host", "route", "source"] {
        if scope[name].is_string() {
            words.push(format!("--{name} '{}'", text(&scope[name]).replace('\'', r"'\''")));
        }
    }
    words.join(" ")
}

fn preview(preview: &Value) -> String {
    format!(
        "in the last {} h it would have let in {} more of {} refused requests",
        preview["hours"], preview["admitted"], preview["looked_at"]
    )
}

fn ban(ban: &Value) -> Option<String> {
    ban.is_object().then(|| {
        let ends =
            ban["ttl_seconds"].as_u64().map_or("when lifted".to_owned(), |left| format!("in {}", span(left)));
        format!("ban       #{} ends {ends}; `skyshield lift '#{}'` ends it now", ban["id"], ban["id"])
    })
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(in crate::cli) fn exceptions(rows: &[Value], as_json: bool) {
    let titles = ["id", "rules", "place", "host", "route", "source", "ends", "used", "by", "comment"];
    listed(rows, as_json, "there are no exceptions", &titles, |row| {
        let rules: Vec<_> = self::rows(&row["rules"]).map(text).collect();
        vec![
            text(&row["id"]),
            rules.join(" "),
            text(&row["place"]),
            text(&row["host"]),
            text(&row["route"]),
            text(&row["source"]),
            row["ttl_seconds"]
                .as_u64()
                .map_or("when removed".to_owned(), |left| format!("in {}", span(left))),
            row["used"].to_string(),
            text(&row["by"]),
            text(&row["comment"]),
        ]
    });
}

pub(in crate::cli) fn exception_made(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        let until = answer["expires_at"]
            .as_str()
            .map_or("until it is removed".to_owned(), |at| format!("until {at}"));
        let unknown: Vec<_> = rows(&answer["unknown_rules"]).map(text).collect();
        let note = match unknown.as_slice() {
            [] => String::new(),
            unknown => format!("\nno built-in rule is called {}", unknown.join(", ")),
        };
        format!("made exception {} {until}{note}", text(&answer["id"]))
    });
}

pub(in crate::cli) fn exception_removed(answer: &Value, as_json: bool) {
    said(answer, as_json, || format!("removed exception {}", text(&answer["id"])));
}
