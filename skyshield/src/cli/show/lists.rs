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
    let some = |key: &str, what: &str| match answer[key].as_u64() {
        Some(bans @ 1..) => format!(", {bans} {what}"),
        Some(0) | None => String::new(),
    };
    let no_room = some("no_room", "not, because the kernel has no room for them");
    let protected = some("protected", "not, because somebody came under protection meanwhile");
    let waiting = some("waiting_for_room", "of them at the doors only for want of room in the kernel");
    let rest = format!("{} left alone, {} over{protected}{no_room}", answer["kept"], answer["over"]);
    put(&match (problems, answer["dry_run"] == true) {
        (0, true) => format!("{made} would come into force, {rest}"),
        (0, false) => format!("{made} are in force{waiting}, {rest}"),
        (_, _) => format!("nothing was done: {problems} lines are wrong"),
    });
}
