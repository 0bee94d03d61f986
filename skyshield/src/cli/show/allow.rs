//! What `allow` prints.

use serde_json::{Value, json};

use super::{listed, put, said, span, text};
use crate::engine::source::Source;

pub(in crate::cli) fn allowed(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        let until = answer["expires_at"]
            .as_str()
            .map_or("until it is removed".to_owned(), |at| format!("until {at}"));
        let id = &answer["id"];
        format!("{} is let through {until} (entry #{id})", text(&answer["whom"]))
    });
}

pub(in crate::cli) fn disallowed(answer: &Value, as_json: bool) {
    said(answer, as_json, || {
        format!("took {} off the allow list (entry #{})", text(&answer["whom"]), answer["id"])
    });
}

pub(in crate::cli) fn allows(rows: &[Value], as_json: bool) {
    let titles = ["#", "whom", "ends", "by", "comment", "addresses"];
    listed(rows, as_json, "the operator's allow list is empty", &titles, |row| {
        let addresses: Vec<_> = row["addresses"].as_array().into_iter().flatten().map(text).collect();
        vec![
            row["id"].to_string(),
            text(&row["whom"]),
            row["ttl_seconds"]
                .as_u64()
                .map_or("when removed".to_owned(), |left| format!("in {}", span(left))),
            text(&row["by"]),
            text(&row["comment"]),
            addresses.join(" "),
        ]
    });
}

pub(in crate::cli) fn protected(source: Source, why: &[Value], as_json: bool) {
    if as_json {
        put(&json!({ "source": source, "protected": why }));
        return;
    }
    if why.is_empty() {
        put(&format!("{source} is not protected: it can be banned"));
    }
    for row in why {
        let why = text(&row["why"]).replace('_', " ");
        put(&format!("{source} is never banned: {} is protected ({why})", text(&row["source"])));
    }
}
