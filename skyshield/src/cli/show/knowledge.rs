//! What `feeds`, `reputation` and `threats` print.

use serde_json::Value;

use super::{listed, put, said, span, text};

fn number(value: &Value) -> String {
    value.as_u64().map(|number| number.to_string()).unwrap_or_default()
}

pub(in crate::cli) fn feeds(rows: &[Value], as_json: bool) {
    let titles = ["list", "action", "status", "ranges", "left out", "hits", "fetched", "next", "problem"];
    listed(rows, as_json, "there are no lists", &titles, |row| {
        vec![
            text(&row["name"]),
            text(&row["action"]),
            text(&row["status"]),
            number(&row["ranges"]),
            number(&row["left_out"]),
            number(&row["hits"]),
            text(&row["fetched_at"]),
            row["next_in_seconds"].as_u64().map_or(String::new(), |left| format!("in {}", span(left))),
            text(&row["problem"]),
        ]
    });
}

pub(in crate::cli) fn refreshed(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        format!("{} is being fetched; `skyshield feeds list` says what came of it", text(&answer["name"]))
    });
}

pub(in crate::cli) fn known(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        let unknown = || "unknown".to_owned();
        let place = &answer["place"];
        let lists: Vec<_> = answer["lists"].as_array().into_iter().flatten().map(text).collect();
        let mut told = vec![
            format!("address     {}", text(&answer["address"])),
            format!(
                "reputation  {}",
                answer["reputation"].as_f64().map_or_else(unknown, |share| format!("{share:.2} of 1 bad"))
            ),
            format!("lists       {}", if lists.is_empty() { "none".to_owned() } else { lists.join(", ") }),
            format!(
                "attacks     {:.2} of 1 sure",
                answer["indicator_confidence"].as_f64().unwrap_or_default()
            ),
        ];
        if place.is_null() {
            told.push("place       unknown".to_owned());
        } else {
            let asn = place["asn"].as_u64().map(|asn| format!("AS{asn}")).unwrap_or_default();
            let flags = [("is_tor", "Tor"), ("is_proxy", "proxy"), ("is_hosting", "hosting")];
            let flags =
                flags.iter().filter(|(key, _)| place[*key] == true).map(|(_, name)| (*name).to_owned());
            let parts = [text(&place["country"]), asn, text(&place["network"])].into_iter().chain(flags);
            let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
            told.push(format!("place       {}", parts.join(", ")));
        }
        if !answer["unwanted_by"].is_null() {
            told.push(format!("refused by  {}", text(&answer["unwanted_by"])));
        }
        told.join("\n")
    });
}

pub(in crate::cli) fn providers(answer: &Value, as_json: bool) {
    let rows = answer["providers"].as_array().cloned().unwrap_or_default();
    if as_json {
        put(answer);
        return;
    }
    let titles = ["provider", "status", "a day", "spent", "known", "waiting"];
    listed(&rows, false, "nobody is asked: no key is configured", &titles, |row| {
        vec![
            text(&row["provider"]),
            text(&row["status"]),
            number(&row["budget_per_day"]),
            number(&row["spent_today"]),
            number(&row["known"]),
            number(&row["waiting"]),
        ]
    });
}

pub(in crate::cli) fn places(rows: &[Value], as_json: bool) {
    let titles = ["database", "status", "kind", "built", "stretches", "path", "problem"];
    listed(rows, as_json, "no database of places is configured", &titles, |row| {
        vec![
            text(&row["database"]),
            text(&row["status"]),
            text(&row["kind"]),
            text(&row["built_at"]),
            number(&row["stretches"]),
            text(&row["path"]),
            text(&row["problem"]),
        ]
    });
}

pub(in crate::cli) fn threats(rows: &[Value], as_json: bool) {
    let titles = ["kind", "value", "sure", "seen", "last", "with"];
    listed(rows, as_json, "no indicator was seen yet", &titles, |row| {
        let threats: Vec<_> = row["threats"].as_array().into_iter().flatten().map(text).collect();
        vec![
            text(&row["kind"]),
            text(&row["value"]),
            row["confidence"].as_f64().map_or(String::new(), |sure| format!("{sure:.2}")),
            number(&row["count"]),
            text(&row["last_seen"]),
            threats.join(", "),
        ]
    });
}

pub(in crate::cli) fn bundle(answer: &Value) {
    put(answer);
}
