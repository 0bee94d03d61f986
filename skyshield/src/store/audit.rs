//! The audit log: lines that hang together by keyed hashes, so that a changed, removed or inserted one shows.
//!
//! A line's hash covers the hash before it, what the line says in the open, and a salted commitment to its
//! content. So content that names a person can be erased, salt and all, and the chain holds. Where the
//! log begins and ends is kept under the same key, so that neither end can be cut off unseen.

mod restated;

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use sha2::Sha256;

pub(super) use restated::take_the_place;

/// What an erasure is called in the log.
pub const ERASED: &str = "privacy.erase";
/// The chain's hash before the first line.
const NOTHING: [u8; 32] = [0; 32];

/// The key under which the log hangs together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Key(…)")
    }
}

impl Key {
    /// The log's key, of the installation's.
    pub(super) fn of(installation: &[u8; 32]) -> Self {
        Self(Self(*installation).mac(&[b"audit"]))
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        mac(&self.0, parts)
    }
}

/// A keyed hash of parts, each told from the next by its length.
fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return NOTHING };
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// What somebody did, to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who: an operator's or a token's name, or `root`.
    pub actor: String,
    /// The public part of the token, where it was one.
    pub token: Option<String>,
    /// As what: viewer, operator, admin.
    pub role: String,
    /// What was done: method and route, or a name.
    pub action: String,
    /// To whom, why, what was before and what is now, as a JSON object.
    pub content: String,
    /// Random bytes that the commitment to the content is salted with.
    pub salt: [u8; 16],
}

/// A line of the log as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditLine {
    /// Its number: one more than the line's before it.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// By which token.
    pub token: Option<String>,
    /// As what.
    pub role: String,
    /// What was done.
    pub action: String,
    /// The rest, as JSON; none where it was erased.
    pub content: Option<String>,
    salt: Option<Vec<u8>>,
    /// What guards the content where it was restated.
    restated: Option<Vec<u8>>,
    commitment: Vec<u8>,
    /// What the next line hangs on.
    pub hash: Vec<u8>,
}

/// What came of looking through the whole log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// Lines that were looked at.
    pub lines: u64,
    /// Lines whose content was erased, and is listed as such.
    pub erased: u64,
    /// Lines in which addresses stand under a pseudonym by now, and which are listed as such.
    pub restated: u64,
    /// The number of the last line and its hash: to be kept elsewhere, and asked for later.
    pub last: Option<(u64, Vec<u8>)>,
    /// What is wrong, the first few.
    pub wrong: Vec<String>,
}

/// Findings that an answer names at the most.
const MAX_WRONG: usize = 20;

impl Audited {
    fn wrong(&mut self, what: String) {
        if self.wrong.len() < MAX_WRONG {
            self.wrong.push(what);
        }
    }
}

impl AuditRow {
    /// Appends the line to the log.
    pub(super) fn write(&self, connection: &Connection, key: &Key) -> rusqlite::Result<usize> {
        let (last, before) =
            end(connection, "last")?.map_or((0, NOTHING.to_vec()), |end| (end.seq, end.hash));
        let seq = last + 1;
        let commitment = mac(&self.salt, &[self.content.as_bytes()]);
        let line = AuditLine {
            seq,
            at_ms: self.at_ms,
            actor: self.actor.clone(),
            token: self.token.clone(),
            role: self.role.clone(),
            action: self.action.clone(),
            content: None,
            salt: None,
            restated: None,
            commitment: commitment.to_vec(),
            hash: Vec::new(),
        };
        let hash = line.hash(&before, key);
        connection
            .prepare_cached(
                "INSERT INTO audit (seq, at_ms, actor, token, role, action, content, salt, commitment, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                seq.cast_signed(),
                self.at_ms,
                self.actor,
                self.token,
                self.role,
                self.action,
                self.content,
                self.salt,
                commitment,
                hash
            ])?;
        set_end(connection, key, "last", seq, &hash)
    }
}

impl AuditLine {
    /// The columns this reads, in its order.
    const COLUMNS: &str = "seq, at_ms, actor, token, role, action, content, salt, commitment, hash, restated";

    fn hash(&self, before: &[u8], key: &Key) -> [u8; 32] {
        let token = self.token.as_deref().map_or_else(Vec::new, |token| [b"t", token.as_bytes()].concat());
        key.mac(&[
            before,
            &self.seq.to_le_bytes(),
            &self.at_ms.to_le_bytes(),
            self.actor.as_bytes(),
            &token,
            self.role.as_bytes(),
            self.action.as_bytes(),
            &self.commitment,
        ])
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            at_ms: row.get(1)?,
            actor: row.get(2)?,
            token: row.get(3)?,
            role: row.get(4)?,
            action: row.get(5)?,
            content: row.get(6)?,
            salt: row.get(7)?,
            commitment: row.get(8)?,
            hash: row.get(9)?,
            restated: row.get(10)?,
        })
    }

    /// The lines whose content an erasure says it took.
    fn takes_back(&self) -> Vec<u64> {
        self.lists(ERASED)
    }

    /// The lines that this one lists, if it is an `action`.
    fn lists(&self, action: &str) -> Vec<u64> {
        let content = self.content.as_deref().filter(|_| self.action == action);
        let content = content.and_then(|content| serde_json::from_str::<serde_json::Value>(content).ok());
        let lines = content.as_ref().and_then(|content| content["after"]["audit_lines"].as_array());
        lines.into_iter().flatten().filter_map(serde_json::Value::as_u64).collect()
    }
}

/// Where the log begins or ends.
struct End {
    seq: u64,
    hash: Vec<u8>,
    mac: Vec<u8>,
}

fn end(connection: &Connection, which: &str) -> rusqlite::Result<Option<End>> {
    let read = |row: &Row<'_>| {
        Ok(End { seq: row.get::<_, i64>(0)?.cast_unsigned(), hash: row.get(1)?, mac: row.get(2)? })
    };
    let sql = "SELECT seq, hash, mac FROM audit_ends WHERE which = ?1";
    connection.prepare_cached(sql)?.query_row([which], read).optional()
}

fn set_end(
    connection: &Connection,
    key: &Key,
    which: &str,
    seq: u64,
    hash: &[u8],
) -> rusqlite::Result<usize> {
    let mac = key.mac(&[which.as_bytes(), &seq.to_le_bytes(), hash]);
    connection.prepare_cached("INSERT OR REPLACE INTO audit_ends VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        which,
        seq.cast_signed(),
        hash,
        mac
    ])
}

/// Deletes at the most `limit` of the oldest lines: those before `oldest_ms`, and those beyond `max_lines`.
/// Where the log begins from there on is kept under the key.
pub(super) fn prune(
    connection: &Connection,
    key: &Key,
    (oldest_ms, max_lines): (i64, u64),
    limit: u32,
) -> rusqlite::Result<()> {
    let first = end(connection, "first")?.map_or(0, |end| end.seq);
    let Some(last) = end(connection, "last")? else { return Ok(()) };
    let by_count = last.seq.saturating_sub(max_lines);
    let sql =
        "SELECT seq, hash FROM audit WHERE seq <= ?1 AND (at_ms < ?2 OR seq <= ?3) ORDER BY seq DESC LIMIT 1";
    let upto = params![
        (first + u64::from(limit)).min(last.seq.saturating_sub(1)).cast_signed(),
        oldest_ms,
        by_count.cast_signed()
    ];
    let cut = connection
        .prepare_cached(sql)?
        .query_row(upto, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?;
    let Some((seq, hash)) = cut else { return Ok(()) };
    connection.prepare_cached("DELETE FROM audit WHERE seq <= ?1")?.execute([seq])?;
    set_end(connection, key, "first", seq.cast_unsigned(), &hash).map(|_| ())
}

/// At the most `limit` lines before number `before` (or the newest), newest first.
pub(super) fn lines(
    connection: &Connection,
    before: Option<u64>,
    limit: u32,
) -> rusqlite::Result<Vec<AuditLine>> {
    let sql = format!(
        "SELECT {} FROM audit WHERE seq < coalesce(?1, 9223372036854775807) ORDER BY seq DESC LIMIT ?2",
        AuditLine::COLUMNS
    );
    let before = before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
    connection.prepare_cached(&sql)?.query_map(params![before, limit], AuditLine::read)?.collect()
}

/// Looks through the whole log.
pub(super) fn verify(connection: &Connection, key: &Key) -> rusqlite::Result<Audited> {
    let mut audited = Audited::default();
    let mut ends = Vec::new();
    for which in ["first", "last"] {
        let kept = end(connection, which)?;
        if let Some(kept) = &kept
            && key.mac(&[which.as_bytes(), &kept.seq.to_le_bytes(), &kept.hash]) != kept.mac.as_slice()
        {
            audited.wrong(format!("where the log's {which} line is said to be was changed"));
        }
        ends.push(kept.map_or((0, NOTHING.to_vec()), |kept| (kept.seq, kept.hash)));
    }
    let [first, last] = [ends.remove(0), ends.remove(0)];
    let (mut seq, mut before) = first;
    let (mut empty, mut taken_back) = (BTreeSet::new(), BTreeSet::new());
    let (mut in_other_words, mut restated) = (BTreeSet::new(), BTreeSet::new());
    let sql = format!("SELECT {} FROM audit ORDER BY seq", AuditLine::COLUMNS);
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line = AuditLine::read(row)?;
        audited.lines += 1;
        if line.seq != seq + 1 {
            audited.wrong(format!("line {} follows line {seq}: what was between was removed", line.seq));
        } else if line.hash(&before, key) != line.hash.as_slice() {
            audited.wrong(format!("line {} was changed or inserted, or the line before it was", line.seq));
        }
        let is_as_said = match (&line.content, &line.salt, &line.restated) {
            (Some(content), Some(salt), None) => {
                mac(salt, &[content.as_bytes()]) == line.commitment.as_slice()
            }
            (Some(content), None, Some(guard)) => {
                in_other_words.insert(line.seq);
                restated::guard(key, line.seq, content) == guard.as_slice()
            }
            (None, None, None) => {
                empty.insert(line.seq);
                true
            }
            _ => false,
        };
        if !is_as_said {
            audited.wrong(format!("the content of line {} was changed", line.seq));
        }
        taken_back.extend(line.takes_back());
        restated.extend(line.restates());
        (seq, before) = (line.seq, line.hash);
    }
    if (seq, &before) != (last.0, &last.1) {
        audited.wrong(format!("the log ends with line {seq}, and it should with line {}", last.0));
    }
    for seq in empty.difference(&taken_back) {
        audited.wrong(format!("the content of line {seq} was removed, and by no erasure"));
    }
    for seq in in_other_words.difference(&restated) {
        audited.wrong(format!("line {seq} was restated, and no line says so"));
    }
    audited.erased = empty.len() as u64;
    audited.restated = in_other_words.len() as u64;
    audited.last = (seq > 0).then_some((seq, before));
    Ok(audited)
}

#[cfg(test)]
mod tests;
