//! Tokens and the audit log, for people and for programs.

use serde_json::Value;

use super::{listed, said, text};

pub(in crate::cli) fn tokens(rows: &[Value], as_json: bool) {
    let words = |list: &Value, nothing: &str| {
        let words: Vec<_> = list.as_array().into_iter().flatten().map(text).collect();
        if words.is_empty() { nothing.to_owned() } else { words.join(" ") }
    };
    listed(
        rows,
        as_json,
        "there are no tokens; make one with `skyshield tokens add NAME`",
        &["id", "name", "role", "scopes", "from", "made", "ends"],
        |row| {
            let ends = row["expires_at"].as_str().unwrap_or("when revoked").to_owned();
            vec![
                text(&row["id"]),
                text(&row["name"]),
                text(&row["role"]),
                words(&row["scopes"], "none"),
                words(&row["networks"], "everywhere"),
                text(&row["made_at"]),
                ends,
            ]
        },
    );
}

pub(in crate::cli) fn token_made(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        format!(
            "{}\n({}; shown this once, only its digest is kept)",
            text(&answer["token"]),
            text(&answer["role"])
        )
    });
}

pub(in crate::cli) fn token_revoked(answer: &Value, as_json: bool) {
    said(answer, as_json, || format!("revoked the token of {}", text(&answer["name"])));
}

pub(in crate::cli) fn audit(rows: &[Value], as_json: bool) {
    let titles = ["line", "at", "who", "what", "target", "why"];
    listed(rows, as_json, "nothing was changed yet", &titles, |row| {
        let said = |what: &str| {
            row["content"][what].as_str().map_or_else(|| "-".to_owned(), |_| text(&row["content"][what]))
        };
        vec![
            text(&row["seq"]),
            text(&row["at"]),
            format!("{} ({})", text(&row["actor"]), text(&row["role"])),
            text(&row["action"]),
            said("target"),
            said("reason"),
        ]
    });
}

pub(in crate::cli) fn audited(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        let wrong = answer["wrong"].as_array().into_iter().flatten().map(text);
        let head = match answer["last_hash"].as_str() {
            Some(_) => format!(
                "{} lines; the last is {}, its hash {}",
                text(&answer["lines"]),
                text(&answer["last"]),
                text(&answer["last_hash"])
            ),
            None => "the log is empty".to_owned(),
        };
        let verdict =
            if answer["whole"] == true { "nothing was changed, removed or inserted" } else { "NOT WHOLE" };
        std::iter::once(head).chain([verdict.to_owned()]).chain(wrong).collect::<Vec<_>>().join("\n")
    });
}
