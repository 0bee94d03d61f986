//! Erasing what names an address or a person: found by reading, taken out by the writer, off the disk.

use rusqlite::{Connection, params};

/// What becomes of a row that names the one to be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It goes.
    Deleted,
    /// Its number stays, because numbering goes on from it; what it says goes.
    Emptied(&'static str),
}

/// Where people and addresses may be named: table, key, texts, and what becomes of a row. Every table of the
/// store stands here or in [`EXEMPT`]; a test looks.
const HOLDS: &[(&str, &str, &[&str], Fate)] = &[
    ("incidents", "id", &["address", "host", "target", "findings", "assessment"], Fate::Deleted),
    (
        "decisions",
        "id",
        &["source", "reason"],
        Fate::Emptied(
            "source = 'erased', reason = 'erased', incident = NULL, \
             ended_at_ms = coalesce(ended_at_ms, made_at_ms), ended = coalesce(ended, 'lifted')",
        ),
    ),
    ("allows", "id", &["whom", "comment", "addresses"], Fate::Deleted),
    ("exceptions", "id", &["scope", "comment"], Fate::Deleted),
    (
        "rulings",
        "id",
        &["subject", "reason", "comment"],
        Fate::Emptied(
            "subject = 'erased', reason = 'erased', comment = '', \
             ended_at_ms = coalesce(ended_at_ms, made_at_ms), ended = coalesce(ended, 'lifted')",
        ),
    ),
    ("near_misses", "id", &["assessment"], Fate::Deleted),
    ("known", "key", &["key", "value"], Fate::Deleted),
    ("alerts", "id", &["which", "summary"], Fate::Deleted),
    ("alerts_outgoing", "id", &["notice"], Fate::Deleted),
    // The chain holds by the commitment, which says nothing without its salt.
    ("audit", "seq", &["content"], Fate::Emptied("content = NULL, salt = NULL, restated = NULL")),
];

/// Tables that hold nothing of those who are guarded against: the rules found in incidents (their rows go with
/// them), counts, sums and sketches, marks, the ends of the log, and the operators themselves, who answer for what they did.
#[cfg(test)]
const EXEMPT: &[&str] = &[
    "audit_ends",
    "business_batches",
    "business_sketches",
    "business_totals",
    "history",
    "incident_rules",
    "marks",
    "operators",
    "service_levels",
    "sizes",
    "tokens",
];

/// The tables where people and addresses may be named.
pub fn tables_of_people() -> impl Iterator<Item = &'static str> {
    HOLDS.iter().map(|(table, ..)| *table)
}

/// Rows found at a time.
const BATCH: usize = 500;

/// Rows of one table that name whom to erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The table.
    pub table: &'static str,
    /// The keys of the rows.
    pub keys: Vec<String>,
}

/// `text` with `instead` wherever it says `what`, as a whole word.
pub(super) fn replaced(text: &str, what: &str, instead: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find(rest, what, out.chars().next_back()) {
        out.push_str(&rest[..at]);
        out.push_str(instead);
        rest = &rest[at + what.len()..];
        // What follows was looked at as the end of the word, and is no letter of one.
    }
    out.push_str(rest);
    out
}

/// Where `text` says `what` as a whole: `203.0.113.7` is not said by `203.0.113.70`, nor `ann` by `joanna`.
fn find(text: &str, what: &str, before: Option<char>) -> Option<usize> {
    let is_inside = |other: char| other.is_alphanumeric() || other == '.' || other == ':';
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find(what).map(|at| at + from) {
        let preceding = text[..at].chars().next_back().or(if at == 0 { before } else { None });
        let following = text[at + what.len()..].chars().next();
        // A full stop or a colon may end a sentence, or stand before a port.
        let goes_on = following.is_some_and(|other| {
            let beyond = text[at + what.len()..].chars().nth(1);
            match other {
                '.' | ':' if what.contains(other) => beyond.is_some_and(char::is_alphanumeric),
                '.' | ':' => false,
                other => other.is_alphanumeric(),
            }
        });
        let came_from = preceding.is_some_and(|other| {
            is_inside(other) && (other.is_alphanumeric() || what.contains(other)) && !escaped(&text[..at])
        });
        if !goes_on && !came_from {
            return Some(at);
        }
        from = at + what.chars().next().map_or(1, char::len_utf8);
    }
    None
}

/// Whether `text` ends in an escape, `\n` or `%20`, whose letters belong to no word.
fn escaped(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 3 && bytes[bytes.len() - 3] == b'%' || bytes.len() >= 2 && bytes[bytes.len() - 2] == b'\\'
}

/// Whether a text names `what`, as a whole word.
pub fn names(text: &str, what: &str) -> bool {
    find(text, what, None).is_some()
}

/// The rows that name `what`, or one of its `pseudonyms`, by table.
pub(super) fn find_all(
    connection: &Connection,
    what: &str,
    pseudonyms: &[String],
) -> rusqlite::Result<Vec<Found>> {
    let mut all = Vec::with_capacity(HOLDS.len());
    for (table, key, texts, _) in HOLDS {
        let mut found = find_in(connection, (table, key, texts), what, "")?;
        // Erasures themselves say by pseudonym whom they erased, and the log is looked through by them.
        let but = if *table == "audit" { "AND action NOT LIKE 'privacy.%'" } else { "" };
        for pseudonym in pseudonyms {
            found.keys.extend(find_in(connection, (table, key, texts), pseudonym, but)?.keys);
        }
        found.keys.sort();
        found.keys.dedup();
        all.push(found);
    }
    Ok(all)
}

fn find_in(
    connection: &Connection,
    (table, key, texts): (&'static str, &str, &[&str]),
    what: &str,
    but: &str,
) -> rusqlite::Result<Found> {
    let any: Vec<_> = texts.iter().map(|text| format!("instr({text}, ?1) > 0")).collect();
    let sql = format!("SELECT {key}, {} FROM {table} WHERE ({}) {but}", texts.join(", "), any.join(" OR "));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([what])?;
    let mut found = Found { table, keys: Vec::new() };
    while let Some(row) = rows.next()? {
        let mut is_named = false;
        for at in 1..=texts.len() {
            is_named |= row.get::<_, Option<String>>(at)?.is_some_and(|text| names(&text, what));
        }
        if is_named {
            let number = row.get_ref(0)?.as_i64().map(|number| number.to_string());
            found.keys.push(number.or_else(|_| row.get(0))?);
        }
    }
    Ok(found)
}

/// Takes the rows out.
pub(super) fn take_out(connection: &Connection, found: &Found) -> rusqlite::Result<usize> {
    let Some((table, key, _, fate)) = HOLDS.iter().find(|(table, ..)| *table == found.table) else {
        return Ok(0);
    };
    let sql = match fate {
        Fate::Deleted => format!("DELETE FROM {table} WHERE {key} = ?1"),
        Fate::Emptied(how) => format!("UPDATE {table} SET {how} WHERE {key} = ?1"),
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let mut taken = 0;
    for found in &found.keys {
        // Keys that are numbers are compared as such by the column's own kind.
        taken += statement.execute(params![found])?;
    }
    Ok(taken)
}

impl Found {
    /// The same in parts that one commit takes.
    pub fn in_batches(self) -> impl Iterator<Item = Self> {
        let table = self.table;
        let batches: Vec<Vec<String>> = self.keys.chunks(BATCH).map(<[String]>::to_vec).collect();
        batches.into_iter().map(move |keys| Self { table, keys })
    }
}

/// Brings what is left in the write-ahead log into the database, and empties the log: deleted pages are
/// overwritten (`secure_delete`), and here the last copies of them go. False while somebody reads by the log.
pub(super) fn scrub(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        .map(|busy| busy == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_a_whole_word_only() {
        for (text, what, expected) in [
            ("203.0.113.7", "203.0.113.7", true),
            ("from 203.0.113.7, twice", "203.0.113.7", true),
            ("203.0.113.7:8080", "203.0.113.7", true),
            ("It was 203.0.113.7.", "203.0.113.7", true),
            ("\"203.0.113.7\"", "203.0.113.7", true),
            ("q=%20203.0.113.7", "203.0.113.7", true),
            ("a\\n203.0.113.7", "203.0.113.7", true),
            ("203.0.113.70", "203.0.113.7", false),
            ("1203.0.113.7", "203.0.113.7", false),
            ("203.0.113.7.9", "203.0.113.7", false),
            ("2001:db8::1", "2001:db8::1", true),
            ("2001:db8::1:2", "2001:db8::1", false),
            ("joanna", "ann", false),
            ("user=ann&x", "ann", true),
            ("ann@example.org", "ann@example.org", true),
            ("joann@example.org and ann@example.org", "ann@example.org", true),
        ] {
            assert_eq!(names(text, what), expected, "{what} in {text}");
        }
    }

    #[test]
    fn every_saying_is_replaced() {
        let said = "203.0.113.7 203.0.113.70 [203.0.113.7]203.0.113.7";
        assert_eq!(replaced(said, "203.0.113.7", "x"), "x 203.0.113.70 [x]x");
        assert_eq!(replaced("nothing", "203.0.113.7", "x"), "nothing");
    }

    #[test]
    fn every_table_is_known_to_erasure() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::migrations::MIGRATIONS.to_latest(&mut connection).unwrap();
        let mut statement = connection
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .unwrap();
        let tables: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for table in tables {
            let holds = HOLDS.iter().any(|(name, ..)| *name == table);
            assert!(
                holds || EXEMPT.contains(&table.as_str()),
                "say in store/erase.rs what erasure does to `{table}`"
            );
        }
        assert!(find_all(&connection, "203.0.113.7", &["anon-1".to_owned()]).is_ok());
    }
}
