//! What the incidents of a stretch of time come to: by what became of them, by hour, by rule, by address.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Row};

use super::incidents::id_at;
use super::read::Reader;
use crate::clock;
use crate::engine::incident::{Act, IncidentId};
use crate::inspect;

/// Each of the three countings ends after this long, wherever it is.
const COUNT_FOR: Duration = Duration::from_secs(1);
/// Rows between two looks at the clock.
const CLOCK_EVERY: u64 = 1024;
/// Names of one order at the most: what comes beyond them is counted with the total alone.
const MAX_NAMES: u32 = 1000;
const MS_PER_HOUR: i64 = 3_600_000;

/// What an hour came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// Incidents in it.
    pub incidents: u64,
    /// Those that were refused, banned ones among them.
    pub refused: u64,
}

/// An address and its incidents.
#[derive(Clone, Debug, PartialEq)]
pub struct Attacker {
    /// The address, or the name it stands under after a while.
    pub address: String,
    /// Its incidents.
    pub incidents: u64,
    /// The highest score of one.
    pub max_score: f64,
    /// The id of the newest.
    pub last: String,
}

/// What the incidents of a stretch of time come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// All of them.
    pub total: u64,
    /// By what became of them.
    pub by_act: BTreeMap<String, u64>,
    /// By the door they came through.
    pub by_door: BTreeMap<String, u64>,
    /// By the route that took them.
    pub by_route: BTreeMap<String, u64>,
    /// By the hour, in milliseconds since 1970; hours without any are left out.
    pub by_hour: BTreeMap<i64, Hour>,
    /// In how many each rule found something.
    pub by_rule: BTreeMap<String, u64>,
    /// The same by the class of the rule; an operator's own rules are `own`.
    pub by_class: BTreeMap<String, u64>,
    /// Who was in most of them, most first.
    pub attackers: Vec<Attacker>,
    /// Whether all were counted in the time there is for it; the newest are counted first.
    pub is_whole: bool,
}

impl Reader {
    /// What the incidents since `since_ms` come to, with the `attackers` that were in most. Takes three seconds
    /// at the most.
    pub fn tally(&self, since_ms: i64, attackers: usize) -> rusqlite::Result<Tally> {
        let since = id_at(since_ms);
        let mut tally = Tally { is_whole: true, ..Tally::default() };
        self.with(|connection| tally.count_acts(connection, &since))?;
        self.with(|connection| tally.count_rules(connection, &since))?;
        self.with(|connection| tally.count_addresses(connection, &since, attackers))?;
        Ok(tally)
    }

    /// How many requests passed since `since_ms` although something spoke against them, by route.
    pub fn near_misses_by_route(&self, since_ms: i64) -> rusqlite::Result<BTreeMap<String, u64>> {
        let sql = "SELECT route, count(*) FROM near_misses WHERE at_ms >= ?1 GROUP BY route LIMIT ?2";
        self.with(|connection| {
            let read = |row: &Row<'_>| Ok((row.get(0)?, counted(row, 1)?));
            connection.prepare_cached(sql)?.query_map([since_ms, i64::from(MAX_NAMES)], read)?.collect()
        })
    }
}

impl Tally {
    fn count_acts(&mut self, connection: &Connection, since: &str) -> rusqlite::Result<()> {
        let sql = "SELECT id, act, door, route FROM incidents INDEXED BY incidents_by_time
                   WHERE id >= ?1 ORDER BY id DESC";
        let mut statement = connection.prepare_cached(sql)?;
        let (mut rows, mut watch) = (statement.query([since])?, Watch::new());
        while let Some(row) = rows.next()? {
            let text = |at| row.get_ref(at).and_then(|value| Ok(value.as_str()?));
            let (id, act) = (text(0)?, text(1)?);
            self.total += 1;
            count(&mut self.by_act, act);
            count(&mut self.by_door, text(2)?);
            count(&mut self.by_route, text(3)?);
            // What a disk made up has no hour.
            if let Ok(id) = id.parse::<IncidentId>() {
                let at = i64::try_from(id.at_ms()).unwrap_or(i64::MAX);
                let hour = self.by_hour.entry(at - at % MS_PER_HOUR).or_default();
                hour.incidents += 1;
                hour.refused +=
                    u64::from([Act::Refuse, Act::Ban].iter().any(|refused| refused.name() == act));
            }
            if watch.is_over() {
                self.is_whole = false;
                break;
            }
        }
        Ok(())
    }

    fn count_rules(&mut self, connection: &Connection, since: &str) -> rusqlite::Result<()> {
        let mut names = connection.prepare_cached("SELECT min(rule) FROM incident_rules WHERE rule > ?1")?;
        let mut every =
            connection.prepare_cached("SELECT count(*) FROM incident_rules WHERE rule = ?1 AND id >= ?2")?;
        let (mut rule, until) = (String::new(), clock::now() + COUNT_FOR);
        // From name to name along the index: there are few rules, whatever there is of each.
        while let Some(next) = names.query_row([&rule], |row| row.get::<_, Option<String>>(0))? {
            let found = every.query_row([next.as_str(), since], |row| counted(row, 0))?;
            if found > 0 {
                self.by_rule.insert(next.clone(), found);
            }
            rule = next;
            if self.by_rule.len() >= MAX_NAMES as usize || clock::now() >= until {
                self.is_whole = false;
                break;
            }
        }
        let classes: BTreeMap<_, _> = inspect::built_in_rules().map(|info| (info.id, info.class)).collect();
        for (rule, found) in &self.by_rule {
            let class = classes.get(rule.as_str()).and_then(|class| serde_json::to_value(class).ok());
            let class = class.as_ref().and_then(|class| class.as_str()).unwrap_or("own");
            *self.by_class.entry(class.to_owned()).or_default() += found;
        }
        Ok(())
    }

    fn count_addresses(&mut self, connection: &Connection, since: &str, most: usize) -> rusqlite::Result<()> {
        let sql =
            "SELECT address, count(*), max(score), max(id) FROM incidents INDEXED BY incidents_by_address
                   WHERE id >= ?1 GROUP BY address";
        let mut statement = connection.prepare_cached(sql)?;
        let (mut rows, mut watch) = (statement.query([since])?, Watch::new());
        while let Some(row) = rows.next()? {
            self.attackers.push(Attacker {
                address: row.get(0)?,
                incidents: counted(row, 1)?,
                max_score: row.get(2)?,
                last: row.get(3)?,
            });
            if self.attackers.len() >= most.saturating_mul(4).max(64) {
                self.keep_the_worst(most);
            }
            if watch.is_over() {
                self.is_whole = false;
                break;
            }
        }
        self.keep_the_worst(most);
        Ok(())
    }

    fn keep_the_worst(&mut self, most: usize) {
        self.attackers.sort_by(|one, other| {
            let by_count = other.incidents.cmp(&one.incidents);
            by_count.then_with(|| other.last.cmp(&one.last))
        });
        self.attackers.truncate(most);
    }
}

/// What a column has counted.
fn counted(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

fn count(names: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = names.get_mut(name) {
        *count += 1;
    } else if names.len() < MAX_NAMES as usize {
        names.insert(name.to_owned(), 1);
    }
}

/// Looks at the clock now and then.
struct Watch {
    until: Instant,
    rows: u64,
}

impl Watch {
    fn new() -> Self {
        Self { until: clock::now() + COUNT_FOR, rows: 0 }
    }

    fn is_over(&mut self) -> bool {
        self.rows += 1;
        self.rows.is_multiple_of(CLOCK_EVERY) && clock::now() >= self.until
    }
}
