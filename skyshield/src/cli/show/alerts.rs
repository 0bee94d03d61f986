//! What `skyshield alerts` prints.

use serde_json::Value;

use super::{listed, said, text};

pub(in crate::cli) fn alerts(rows: &[Value], as_json: bool) {
    let titles = ["since", "severity", "rule", "of", "says", "value", "until"];
    listed(rows, as_json, "nothing fires", &titles, |row| {
        vec![
            text(&row["started_at"]),
            text(&row["severity"]),
            text(&row["rule"]),
            text(&row["which"]),
            text(&row["summary"]),
            row["value"].to_string(),
            row["resolved_at"].as_str().map_or_else(String::new, |_| text(&row["resolved_at"])),
        ]
    });
}

pub(in crate::cli) fn alerts_tested(rows: &[Value], as_json: bool) {
    listed(rows, as_json, "there is nobody to tell", &["receiver", "got it", "why not"], |row| {
        let got = if row["sent"] == true { "yes" } else { "no" };
        let why = row["why"].as_str().map_or_else(String::new, |_| text(&row["why"]));
        vec![text(&row["receiver"]), got.to_owned(), why]
    });
}

pub(in crate::cli) fn log_level(answer: &Value, as_json: bool) {
    said(answer, as_json, || text(&answer["level"]));
}
