//! Pseudonyms: names that are the same for the same address, and that only this host's key leads to.

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
        let sql = "SELECT id, source FROM decisions
                   WHERE ended_at_ms < ?1 AND source NOT LIKE 'anon-%' ORDER BY id LIMIT ?2";
        let ended = connection
            .prepare_cached(sql)?
            .query_map(params![before_ms, limit], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        for (id, source) in &ended {
            connection
                .prepare_cached("UPDATE decisions SET source = ?2 WHERE id = ?1")?
                .execute(params![id, self.of(source)])?;
        }
        Ok(rows.len().max(ended.len()))
    }
}

fn mark(connection: &Connection, name: &str) -> rusqlite::Result<String> {
    let sql = "SELECT at FROM marks WHERE name = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?.unwrap_or_default())
}

fn set_mark(connection: &Connection, name: &str, at: &str) -> rusqlite::Result<usize> {
    connection.prepare_cached("INSERT OR REPLACE INTO marks VALUES (?1, ?2)")?.execute([name, at])
}
