//! The main series at falling resolution, and what the hours of each site have come to.

use rusqlite::{Connection, params};

use crate::store::Reader;

/// A step of the history in seconds, and how many of its points are kept; of the last, days are configured.
const STEPS: [(i64, i64); 3] = [(60, 1440), (300, 2016), (3600, 0)];
/// Hours that service levels are kept.
const LEVEL_HOURS: i64 = 24 * 31;
/// Rows deleted at a time, so that no commit waits long behind it.
const PRUNE_ROWS: u32 = 20_000;

/// What a series was in one minute.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    /// Its name, and its labels in braces.
    pub series: String,
    /// When the minute began, in seconds since 1970.
    pub at: i64,
    /// How many values there were.
    pub count: u32,
    /// Their sum.
    pub sum: f64,
    /// The largest.
    pub max: f64,
}

/// A point of the history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When it begins, in seconds since 1970.
    pub at: i64,
    /// The mean over its step.
    pub mean: f64,
    /// The largest in its step.
    pub max: f64,
}

/// What an hour of a site has come to, by one objective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelRow {
    /// The site.
    pub site: String,
    /// The objective.
    pub objective: String,
    /// Hours since 1970.
    pub hour: i64,
    /// Requests that missed the objective.
    pub bad: i64,
    /// Requests.
    pub total: i64,
}

/// Adds a minute to every resolution.
pub(super) fn write(rows: &[HistoryRow], connection: &Connection) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO history (series, step, at, count, sum, max) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (series, step, at) DO UPDATE SET
         count = count + excluded.count, sum = sum + excluded.sum, max = max(max, excluded.max)",
    )?;
    for row in rows {
        for (step, _) in STEPS {
            let at = row.at - row.at.rem_euclid(step);
            statement.execute(params![row.series, step, at, row.count, row.sum, row.max])?;
        }
    }
    Ok(rows.len())
}

pub(super) fn write_levels(rows: &[LevelRow], connection: &Connection) -> rusqlite::Result<usize> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO service_levels VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for row in rows {
        statement.execute(params![row.site, row.objective, row.hour, row.bad, row.total])?;
    }
    Ok(rows.len())
}

pub(super) fn prune(now: i64, days: u32, connection: &Connection) -> rusqlite::Result<usize> {
    let mut gone = 0;
    for (step, points) in STEPS {
        let kept = if points == 0 { i64::from(days) * 86_400 } else { step * points };
        gone += connection.execute(
            "DELETE FROM history WHERE (series, step, at) IN
             (SELECT series, step, at FROM history WHERE step = ?1 AND at < ?2 LIMIT ?3)",
            params![step, now - kept, PRUNE_ROWS],
        )?;
    }
    let oldest = now / 3600 - LEVEL_HOURS;
    gone += connection.execute("DELETE FROM service_levels WHERE hour < ?1", [oldest])?;
    Ok(gone)
}

impl Reader {
    /// The points of `series` from `from` on (seconds since 1970), at the finest resolution that is kept
    /// that long and comes to no more than `limit` points.
    pub fn history(
        &self,
        series: &str,
        from: i64,
        now: i64,
        limit: u32,
    ) -> rusqlite::Result<(i64, Vec<Point>)> {
        let span = (now - from).max(0);
        let fits = |&&(step, points): &&(i64, i64)| {
            (points == 0 || span <= step * points) && span / step < i64::from(limit)
        };
        let (step, _) = STEPS.iter().find(fits).copied().unwrap_or((3600, 0));
        let sql = "SELECT at, sum / max(count, 1), max FROM history
                   WHERE series = ?1 AND step = ?2 AND at >= ?3 ORDER BY at LIMIT ?4";
        let points = self.with(|connection| {
            let read =
                |row: &rusqlite::Row<'_>| Ok(Point { at: row.get(0)?, mean: row.get(1)?, max: row.get(2)? });
            let from = from - from.rem_euclid(step);
            connection.prepare_cached(sql)?.query_map(params![series, step, from, limit], read)?.collect()
        })?;
        Ok((step, points))
    }

    /// The names of the series that the history has values of since `since` (seconds since 1970).
    pub fn history_series(&self, since: i64) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT DISTINCT series FROM history WHERE step = 3600 AND at >= ?1 ORDER BY series";
        self.with(|connection| {
            connection.prepare_cached(sql)?.query_map([since], |row| row.get(0))?.collect()
        })
    }

    /// What the hours since `hour` have come to.
    pub fn service_levels(&self, hour: i64) -> rusqlite::Result<Vec<LevelRow>> {
        let sql = "SELECT site, objective, hour, bad, total FROM service_levels WHERE hour >= ?1";
        let read = |row: &rusqlite::Row<'_>| {
            let (site, objective, hour) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(LevelRow { site, objective, hour, bad: row.get(3)?, total: row.get(4)? })
        };
        self.with(|connection| connection.prepare_cached(sql)?.query_map([hour], read)?.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kept;
    use super::*;
    use crate::store::{Config, Record, open};

    #[tokio::test]
    async fn a_month_is_kept_at_falling_resolution() {
        let dir = tempfile::tempdir().unwrap();
        let opened = open(&Config { dir: dir.path().join("state"), ..Config::default() }).unwrap();
        let day = 86_400;
        let now = 1_800_000_000 - 1_800_000_000 % day;
        for (age, value) in [(40 * day, 1.0), (20 * day, 2.0), (3 * day, 3.0), (600, 4.0), (540, 6.0)] {
            let rows =
                vec![HistoryRow { series: "cpu".into(), at: now - age, count: 1, sum: value, max: value }];
            let record = Record::Monitoring(Box::new(Kept::History(rows)));
            opened.store.commit(record).await.unwrap();
        }
        let prune = Kept::Prune { now_ms: now * 1000, history_days: 30 };
        opened.store.commit(Record::Monitoring(Box::new(prune))).await.unwrap();
        let read = |age: i64| {
            let (step, points) = opened.reader.history("cpu", now - age, now, 2000).unwrap();
            (step, points.iter().map(|point| (now - point.at, point.mean, point.max)).collect::<Vec<_>>())
        };
        assert_eq!(read(3600), (60, vec![(600, 4.0, 4.0), (540, 6.0, 6.0)]));
        assert_eq!(read(5 * day), (300, vec![(3 * day, 3.0, 3.0), (600, 5.0, 6.0)]));
        assert_eq!(read(60 * day), (3600, vec![(20 * day, 2.0, 2.0), (3 * day, 3.0, 3.0), (3600, 5.0, 6.0)]));
        assert_eq!(opened.reader.history_series(0).unwrap(), ["cpu"]);
    }
}
