//! What `decisions import` prints.

use std::path::Path;

use serde_json::Value;

use super::{put, text};

pub(in crate::cli) fn imported(answer: &Value, file: &Path, as_json: bool) {
    if as_json {
        put(&answer.to_string());
        return;
    }
    for error in answer["errors"].as_array().into_iter().flatten() {
        put(&format!("{}:{}: {}", file.display(), error["line"], text(&error["detail"])));
    }
    let (made, problems) = (&answer["made"], answer["problems"].as_u64().unwrap_or_default());
    let no_room = match answer["no_room"].as_u64() {
        Some(bans @ 1..) => format!(", {bans} not, because the kernel has no room for them"),
        Some(0) | None => String::new(),
    };
    let rest = format!("{} left alone, {} over{no_room}", answer["kept"], answer["over"]);
    put(&match (problems, answer["dry_run"] == true) {
        (0, true) => format!("{made} would come into force, {rest}"),
        (0, false) => format!("{made} are in force, {rest}"),
        (_, _) => format!("nothing was done: {problems} lines are wrong"),
    });
}
