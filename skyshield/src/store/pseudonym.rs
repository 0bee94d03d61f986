//! Pseudonyms: names that are the same for the same address, and that only this host's key leads to.

mod text;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::Sha256;

use super::incidents::id_at;

/// What every pseudonym begins with.
const MARK: &str = "anon-";

/// Makes pseudonyms.
#[derive(Clone)]
pub(super) struct Pseudonyms([u8; 32]);

impl Pseudonyms {
    /// By the installation's key.
    pub(super) fn new(installation: &[u8; 32]) -> Self {
        Self(*installation)
    }

    /// The pseudonym of `name`.
    pub(super) fn of(&self, name: &str) -> String {
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return MARK.to_owned() };
        mac.update(b"pseudonym");
        mac.update(name.as_bytes());
        let digest = mac.finalize().into_bytes();
        digest.iter().take(8).fold(MARK.to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// Puts pseudonyms in the place of the addresses of at the most `limit` incidents, and of as many ended
    /// decisions, from before `before_ms`; says of how many. Where it got to is kept.
    pub(super) fn take_the_place(
        &self,
        connection: &Connection,
        before_ms: i64,
        limit: u32,
    ) -> rusqlite::Result<usize> {
        let sql = "SELECT id, address, host, target, findings, assessment FROM incidents
                   WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3";
        let rows = connection
            .prepare_cached(sql)?
            .query_map(params![mark(connection, "incidents")?, id_at(before_ms), limit], |row| {
                let texts = [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, texts))
            })?
            .collect::<Result<Vec<(_, _, [String; 4])>, _>>()?;
        for (id, address, texts) in &rows {
            let pseudonym = self.of(address);
            let [host, target, findings, assessment] =
                texts.each_ref().map(|text| super::erase::replaced(text, address, &pseudonym));
            connection
                .prepare_cached(
                    "UPDATE incidents SET address = ?2, host = ?3, target = ?4, findings = ?5, assessment = ?6 WHERE id = ?1",
                )?
                .execute(params![id, pseudonym, host, target, findings, assessment])?;
        }
        if let Some((last, ..)) = rows.last() {
            set_mark(connection, "incidents", last)?;
        }
        let ended = self.take_the_place_in(connection, ("decisions", "source"), before_ms, limit)?;
        let overruled = self.take_the_place_in(connection, ("rulings", "subject"), before_ms, limit)?;
        Ok(rows.len().max(ended).max(overruled))
    }

    /// The same, of what `table` says is over, and whom its column `whom` names.
    fn take_the_place_in(
        &self,
        connection: &Connection,
        (table, whom): (&str, &str),
        before_ms: i64,
        limit: u32,
    ) -> rusqlite::Result<usize> {
        // Networks and countries are nobody; what is erased says nothing any more.
        let sql = format!(
            "SELECT id, {whom}, reason FROM {table} WHERE ended_at_ms < ?1 AND {whom} NOT LIKE 'anon-%'
             AND {whom} NOT LIKE 'asn:%' AND {whom} NOT LIKE 'country:%' AND {whom} != 'erased' ORDER BY id LIMIT ?2"
        );
        let over = connection
            .prepare_cached(&sql)?
            .query_map(params![before_ms, limit], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        let sql = format!("UPDATE {table} SET {whom} = ?2, reason = ?3 WHERE id = ?1");
        let mut update = connection.prepare_cached(&sql)?;
        for (id, name, reason) in &over {
            let pseudonym = self.of(name);
            // A user is named in a reason without the word that says that it is one.
            let bare = name.strip_prefix("user:").unwrap_or(name);
            update.execute(params![id, pseudonym, super::erase::replaced(reason, bare, &pseudonym)])?;
        }
        Ok(over.len())
    }
}

pub(super) fn mark(connection: &Connection, name: &str) -> rusqlite::Result<String> {
    let sql = "SELECT at FROM marks WHERE name = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?.unwrap_or_default())
}

pub(super) fn set_mark(connection: &Connection, name: &str, at: &str) -> rusqlite::Result<usize> {
    connection.prepare_cached("INSERT OR REPLACE INTO marks VALUES (?1, ?2)")?.execute([name, at])
}

#[cfg(test)]
mod tests {
    use super::super::migrations::MIGRATIONS;
    use super::super::prune::Retention;
    use super::super::{Keep, Kinds, audit};
    use super::*;
    use crate::engine::incident::IncidentId;

    const DAY_MS: i64 = 86_400_000;
    /// Some day.
    const NOW_MS: i64 = 1_800_000_000_000;

    fn incident(connection: &Connection, address: &str, at_ms: i64) {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(at_ms.cast_unsigned());
        connection
            .execute(
                "INSERT INTO incidents (id, at_ms, address, by_proxy, door, score, method, host, target, findings, act, route, assessment)
                 VALUES (?1, ?2, ?3, 0, 'gateway', 0.9, 'GET', 'shop', ?4, ?5, 'ban', 'default', '{}')",
                params![
                    IncidentId::new(at, 1).to_string(),
                    at_ms,
                    address,
                    format!("/?ip={address}"),
                    format!("[{{\"matched\":\"{address}\"}}]")
                ],
            )
            .unwrap();
    }

    fn over(connection: &Connection, table: &str, whom: &str, ended_at_ms: i64) {
        let (column, more) = if table == "decisions" { ("source", "layer") } else { ("subject", "kind") };
        let said = whom.strip_prefix("user:").unwrap_or(whom);
        connection
            .execute(
                &format!(
                    "INSERT INTO {table} ({column}, {more}, origin, reason, made_at_ms, ended_at_ms, ended{0})
                     VALUES (?1, 'x', 'operator', ?2, 0, ?3, 'lifted'{1})",
                    if table == "rulings" { ", comment" } else { "" },
                    if table == "rulings" { ", ''" } else { "" },
                ),
                params![whom, format!("seen from {said}"), ended_at_ms],
            )
            .unwrap();
    }

    fn column(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn after_so_many_days_addresses_stand_under_a_pseudonym_and_younger_ones_do_not() {
        let mut connection = Connection::open_in_memory().unwrap();
        MIGRATIONS.to_latest(&mut connection).unwrap();
        let (old, young) = (NOW_MS - 31 * DAY_MS, NOW_MS - 29 * DAY_MS);
        for (number, at_ms) in [old, old + 1, young].into_iter().enumerate() {
            incident(&connection, &format!("203.0.113.{}", number.min(1)), at_ms);
        }
        incident(&connection, "203.0.113.0", old + 2);
        for (table, whom, at_ms) in [
            ("decisions", "203.0.113.0", old),
            ("decisions", "203.0.113.1", young),
            ("rulings", "user:alice", old),
            ("rulings", "asn:64500", old),
            ("rulings", "user:bob", young),
        ] {
            over(&connection, table, whom, at_ms);
        }
        let keep = Keep { rows: 1000, mebibytes: 100, days: 400 };
        let keep = Kinds { incidents: keep, decisions: keep, ..Kinds::default() };
        let retention = Retention { keep, pseudonymise_after_days: 30 };
        let (key, pseudonyms) = (audit::Key::of(&[7; 32]), Pseudonyms::new(&[7; 32]));
        assert!(!retention.prune(&mut connection, (&key, &pseudonyms), NOW_MS).unwrap());

        let (first, second) = (pseudonyms.of("203.0.113.0"), pseudonyms.of("203.0.113.1"));
        assert_ne!(first, second);
        assert!(first.starts_with(MARK) && first.len() == MARK.len() + 16, "{first}");
        assert_ne!(first, Pseudonyms::new(&[8; 32]).of("203.0.113.0"), "without the key it could be made");
        let addresses = column(&connection, "SELECT address FROM incidents ORDER BY id");
        assert_eq!(addresses, [first.as_str(), &second, &first, "203.0.113.1"], "the same stays the same");
        let said = column(&connection, "SELECT target || findings FROM incidents ORDER BY id");
        assert!(!said[0].contains("203.0.113") && said[3].contains("203.0.113.1"), "{said:?}");
        let sources = column(&connection, "SELECT source || ' ' || reason FROM decisions ORDER BY id");
        assert_eq!(
            sources,
            [format!("{first} seen from {first}"), "203.0.113.1 seen from 203.0.113.1".into()]
        );
        let subjects = column(&connection, "SELECT subject || ' ' || reason FROM rulings ORDER BY id");
        let alice = pseudonyms.of("user:alice");
        let expected = [
            &format!("{alice} seen from {alice}"),
            "asn:64500 seen from asn:64500",
            "user:bob seen from bob",
        ];
        assert_eq!(subjects, expected);
        // A second look finds nothing left to do.
        assert_eq!(pseudonyms.take_the_place(&connection, NOW_MS - 30 * DAY_MS, 100).unwrap(), 0);
    }
}
