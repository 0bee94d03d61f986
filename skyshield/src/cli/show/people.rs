//! Operators, erasure and the record of processing, for people and for programs.

use serde_json::Value;

use super::{listed, put, said, text};

pub(in crate::cli) fn operators(rows: &[Value], as_json: bool) {
    let nothing = "nobody may log in; `skyshield operators add NAME` lets somebody";
    listed(rows, as_json, nothing, &["name", "role", "codes", "made"], |row| {
        let codes = if row["has_codes"] == true { "yes" } else { "no" };
        vec![text(&row["name"]), text(&row["role"]), codes.to_owned(), text(&row["made_at"])]
    });
}

pub(in crate::cli) fn operator_made(answer: &Value, as_json: bool) {
    said(answer, as_json, || format!("{} may log in, as {}", text(&answer["name"]), text(&answer["role"])));
}

pub(in crate::cli) fn operator_removed(answer: &Value, as_json: bool) {
    said(answer, as_json, || format!("{} may log in no more", text(&answer["name"])));
}

pub(in crate::cli) fn codes_made(answer: &Value, as_json: bool) {
    said(answer, as_json, || format!("{}\n(for the app; shown this once)", text(&answer["url"])));
}

pub(in crate::cli) fn codes_removed(answer: &Value, as_json: bool) {
    said(answer, as_json, || format!("{} logs in with the password alone", text(&answer["name"])));
}

pub(in crate::cli) fn erased(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        let rows =
            items(answer, "rows").map(|row| format!("  {} of {}", text(&row["rows"]), text(&row["kind"])));
        let other = [
            ("decisions_lifted", "decisions in force were lifted"),
            ("allows_removed", "entries of the allow list were removed"),
            ("exceptions_removed", "exceptions were removed"),
            ("log_files", "log files were overwritten"),
        ];
        let other = other.map(|(key, what)| format!("  {} {what}", text(&answer[key])));
        let copies = if answer["scrubbed"] == true {
            "  no copy is left in the database's files"
        } else {
            "  COPIES ARE LEFT"
        };
        let notes = items(answer, "notes").map(|note| format!("  note: {}", text(note)));
        let head = format!("erased; it is {} in the audit log from here on", text(&answer["whom"]));
        let lines = std::iter::once(head).chain(rows).chain(other).chain([copies.to_owned()]).chain(notes);
        lines.collect::<Vec<_>>().join("\n")
    });
}

pub(in crate::cli) fn record(answer: &Value, as_json: bool) {
    if as_json {
        put(answer);
        return;
    }
    let kinds: Vec<Value> = items(answer, "kinds").cloned().collect();
    listed(
        &kinds,
        false,
        "nothing is kept",
        &["kind", "of people", "why", "rows", "bytes", "at the most"],
        |row| {
            let most = format!(
                "{} rows, {} MiB, {} days",
                text(&row["max_rows"]),
                text(&row["max_mebibytes"]),
                text(&row["max_days"])
            );
            let cells = ["kind", "personal", "purpose", "rows", "bytes"].map(|key| text(&row[key]));
            cells.into_iter().chain([most]).collect()
        },
    );
    match answer["pseudonymised_after_days"].as_u64() {
        Some(days) => put(&format!("addresses stand under a pseudonym after {days} days")),
        None => put(&"addresses are kept as they are (store.pseudonymise_after_days)"),
    }
    put(&format!("{} erasures are in the audit log", items(answer, "erasures").count()));
}

pub(in crate::cli) fn top(answer: &Value, as_json: bool) {
    if as_json {
        put(answer);
        return;
    }
    let health = &answer["health"];
    put(&format!(
        "{}, up {} s, {} decisions in force; the newest {} incidents, since {}",
        text(&health["status"]),
        text(&health["uptime_seconds"]),
        text(&health["decisions_in_force"]),
        text(&answer["looked_at"]),
        answer["since"].as_str().map_or_else(|| "ever".to_owned(), |_| text(&answer["since"])),
    ));
    for name in ["sources", "rules", "hosts", "acts"] {
        let rows: Vec<Value> = items(answer, name).cloned().collect();
        if !rows.is_empty() {
            listed(&rows, false, "", &[name, "incidents"], |row| {
                vec![text(&row["name"]), text(&row["count"])]
            });
        }
    }
}

fn items<'a>(answer: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    answer[key].as_array().into_iter().flatten()
}
