//! Looking through the incidents, newest first, in bounded time whatever is asked for.

use std::time::{Duration, Instant, UNIX_EPOCH};

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::records::IncidentRow;
use crate::clock;
use crate::engine::incident::IncidentId;

/// A look ends after this long, wherever it is; the page says where to go on.
const LOOK_FOR: Duration = Duration::from_millis(100);
/// How many candidates lie between two looks at the clock.
const CLOCK_EVERY: usize = 64;

/// Which incidents; what is left out is all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Of this address.
    pub address: Option<String>,
    /// In which this rule found something.
    pub rule: Option<String>,
    /// To this host.
    pub host: Option<String>,
    /// Of which this became: [`crate::engine::incident::Act::name`].
    pub act: Option<String>,
    /// Through this door.
    pub door: Option<String>,
    /// Taken by this route.
    pub route: Option<String>,
    /// That scored this or more.
    pub min_score: Option<f64>,
    /// From this moment on, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Before this moment.
    pub until_ms: Option<i64>,
}

/// A page of incidents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentPage {
    /// What was found, newest first.
    pub rows: Vec<IncidentRow>,
    /// Where the next page begins; none is the end. A page may hold fewer rows than were asked for, or none,
    /// before the end: what was looked for is rare.
    pub next: Option<String>,
}

/// What is looked at of a candidate before its row is read.
struct Candidate {
    id: String,
    act: String,
    door: String,
    route: String,
    score: f64,
    address: Option<String>,
    host: Option<String>,
}

/// The index that the look goes along.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Along {
    Address,
    Rule,
    Host,
    Time,
}

impl Filter {
    /// The index that leaves the fewest candidates.
    fn along(&self) -> Along {
        match (&self.address, &self.rule, &self.host) {
            (Some(_), _, _) => Along::Address,
            (None, Some(_), _) => Along::Rule,
            (None, None, Some(_)) => Along::Host,
            (None, None, None) => Along::Time,
        }
    }

    /// Whether what was looked at of `candidate` fits; its rule is asked for beside it.
    fn takes(&self, candidate: &Candidate) -> bool {
        let fits = |wanted: &Option<String>, is: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| is.is_none_or(|is| is == wanted))
        };
        fits(&self.act, Some(&candidate.act))
            && fits(&self.door, Some(&candidate.door))
            && fits(&self.route, Some(&candidate.route))
            && fits(&self.address, candidate.address.as_deref())
            && fits(&self.host, candidate.host.as_deref())
            && self.min_score.is_none_or(|least| candidate.score >= least)
    }

    fn sql(&self, along: Along) -> String {
        // Columns that no index of the look holds are read only where they are asked for.
        let address = if along != Along::Address && self.address.is_some() { "address" } else { "NULL" };
        let host = if along != Along::Host && self.host.is_some() { "host" } else { "NULL" };
        let columns = format!("incidents.id, act, door, route, score, {address}, {host}");
        let (table, chosen) = match along {
            Along::Address => ("incidents INDEXED BY incidents_by_address", "address = ?3 AND incidents.id"),
            Along::Host => ("incidents INDEXED BY incidents_by_host", "host = ?3 AND incidents.id"),
            Along::Time => ("incidents INDEXED BY incidents_by_time", "incidents.id"),
            Along::Rule => (
                "incident_rules CROSS JOIN incidents ON incidents.id = incident_rules.id",
                "rule = ?3 AND incident_rules.id",
            ),
        };
        let by = chosen.rsplit(' ').next().unwrap_or("incidents.id");
        format!("SELECT {columns} FROM {table} WHERE {chosen} < ?1 AND {by} >= ?2 ORDER BY {by} DESC")
    }
}

/// The least id of what happened at `ms` or later.
pub(super) fn id_at(ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    IncidentId::new(UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH), 0).to_string()
}

/// At the most `limit` incidents that `filter` takes before the one with id `before` (or the newest).
pub(super) fn look(
    connection: &Connection,
    filter: &Filter,
    before: Option<&str>,
    limit: u32,
) -> rusqlite::Result<IncidentPage> {
    // Every id is less than a tilde, and none less than nothing.
    let until = filter.until_ms.map_or_else(|| "~".to_owned(), id_at);
    let before = before.map_or(until.as_str(), |before| before.min(until.as_str()));
    let since = filter.since_ms.map_or_else(String::new, id_at);
    let along = filter.along();
    let chosen = match along {
        Along::Address => filter.address.as_deref(),
        Along::Rule => filter.rule.as_deref(),
        Along::Host => filter.host.as_deref(),
        Along::Time => None,
    };
    let mut values: Vec<&dyn ToSql> = vec![&before, &since];
    if let Some(chosen) = &chosen {
        values.push(chosen);
    }
    let mut has_rule =
        connection.prepare_cached("SELECT 1 FROM incident_rules WHERE rule = ?1 AND id = ?2")?;
    let mut whole = connection.prepare_cached("SELECT * FROM incidents WHERE id = ?1")?;
    let mut candidates = connection.prepare_cached(&filter.sql(along))?;
    let mut candidates = candidates.query(values.as_slice())?;
    let mut page = IncidentPage::default();
    let (mut looked_at, until) = (0, deadline());
    while let Some(row) = candidates.next()? {
        let candidate = Candidate::read(row)?;
        let by_rule = filter.rule.as_deref().filter(|_| along != Along::Rule);
        let fits = filter.takes(&candidate)
            && match by_rule {
                Some(rule) => has_rule.exists([rule, &candidate.id])?,
                None => true,
            };
        if fits {
            // It may have gone since; that is no reason to fail.
            page.rows.extend(whole.query_row([&candidate.id], IncidentRow::read).optional()?);
        }
        looked_at += 1;
        if page.rows.len() > limit as usize {
            page.rows.truncate(limit as usize);
            page.next = page.rows.last().map(|last| last.id.clone());
            break;
        }
        if looked_at % CLOCK_EVERY == 0 && clock::now() >= until {
            page.next = Some(candidate.id);
            break;
        }
    }
    Ok(page)
}

fn deadline() -> Instant {
    clock::now() + LOOK_FOR
}

impl Candidate {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            act: row.get(1)?,
            door: row.get(2)?,
            route: row.get(3)?,
            score: row.get(4)?,
            address: row.get(5)?,
            host: row.get(6)?,
        })
    }
}
