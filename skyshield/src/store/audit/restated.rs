//! Lines in which addresses stand under a pseudonym after a while, and the chain that holds all the same.
//!
//! A line's hash covers a commitment to its content and not the content itself, so that the content can be said in
//! other words. What it says from there on is guarded by a keyed hash of its own, and by a later line of the log that
//! names the lines that were restated: without the key neither can be made.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};

use super::super::erase::replaced;
use super::super::pseudonym::Pseudonyms;
use super::{AuditLine, AuditRow, ERASED, Key};

/// What restating is called in the log.
pub(in crate::store) const RESTATED: &str = "privacy.pseudonymise";
/// What begins the name of a user as a decision says it.
const USER: &str = "user:";

/// Up to which line that was done.
const MARK: &str = "audit";

/// What guards the content of a line that was restated.
pub(super) fn guard(key: &Key, seq: u64, content: &str) -> [u8; 32] {
    key.mac(&[b"restated", &seq.to_le_bytes(), content.as_bytes()])
}

/// Puts pseudonyms in the place of the addresses and users of at the most `limit` lines from before `before_ms`, and
/// says so in a line made at `now_ms`; how many were looked at.
pub(in crate::store) fn take_the_place(
    connection: &Connection,
    (key, pseudonyms): (&Key, &Pseudonyms),
    (before_ms, now_ms): (i64, i64),
    limit: u32,
) -> rusqlite::Result<usize> {
    let done: Option<String> = connection
        .prepare_cached("SELECT at FROM marks WHERE name = ?1")?
        .query_row([MARK], |row| row.get(0))
        .optional()?;
    let done = done.and_then(|seq| seq.parse::<i64>().ok()).unwrap_or(0);
    let sql = "SELECT seq, action, content FROM audit WHERE seq > ?1 AND at_ms < ?2 ORDER BY seq LIMIT ?3";
    let lines = connection
        .prepare_cached(sql)?
        .query_map(params![done, before_ms, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<Vec<(i64, String, Option<String>)>, _>>()?;
    let mut restated = Vec::new();
    for (seq, action, content) in &lines {
        // What these say of others is said by pseudonym already, and is what the chain is looked through by.
        let Some(content) = content.as_deref().filter(|_| action != ERASED && action != RESTATED) else {
            continue;
        };
        let Some(instead) = in_other_words(pseudonyms, content) else { continue };
        let guard = guard(key, seq.cast_unsigned(), &instead);
        connection
            .prepare_cached("UPDATE audit SET content = ?2, salt = NULL, restated = ?3 WHERE seq = ?1")?
            .execute(params![seq, instead, guard])?;
        restated.push(*seq);
    }
    if let Some((last, ..)) = lines.last() {
        connection
            .prepare_cached("INSERT OR REPLACE INTO marks VALUES (?1, ?2)")?
            .execute([MARK, &last.to_string()])?;
    }
    if !restated.is_empty() {
        let mut salt = [0; 16];
        // Without randomness the commitment is one that can be guessed; the chain holds all the same.
        let _unlikely = getrandom::fill(&mut salt);
        let row = AuditRow {
            at_ms: now_ms,
            actor: "retention".to_owned(),
            token: None,
            role: "rule".to_owned(),
            action: RESTATED.to_owned(),
            content: json!({ "after": { "audit_lines": restated } }).to_string(),
            salt,
        };
        row.write(connection, key)?;
    }
    Ok(lines.len())
}

/// The content without the addresses and users that it names; none where it names nobody.
fn in_other_words(pseudonyms: &Pseudonyms, content: &str) -> Option<String> {
    let mut users = BTreeSet::new();
    if let Ok(value) = serde_json::from_str::<Value>(content) {
        find_users(&value, &mut users);
    }
    let mut text = content.to_owned();
    for user in &users {
        let pseudonym = pseudonyms.of(user);
        let bare = &user[USER.len()..];
        text = replaced(&replaced(&text, user, &pseudonym), bare, &pseudonym);
    }
    let without = pseudonyms.over_addresses(&text);
    without.or((!users.is_empty()).then_some(text))
}

fn find_users(value: &Value, users: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            if text.len() > USER.len() && text.starts_with(USER) {
                users.insert(text.clone());
            }
        }
        Value::Array(values) => values.iter().for_each(|value| find_users(value, users)),
        Value::Object(values) => values.values().for_each(|value| find_users(value, users)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl AuditLine {
    /// The lines that this one says were restated.
    pub(super) fn restates(&self) -> Vec<u64> {
        self.lists(RESTATED)
    }
}
