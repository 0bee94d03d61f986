//! Keeps the databases as their files are: a new one takes the last one's place whole, a broken one changes
//! nothing.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::config::{Config, OnMissing};
use super::metrics::Metrics;
use super::read::{Facts, Kind, ReadError, read};
use crate::engine::place::{Atlas, Policies, Table};
use crate::engine::view::View;

/// How a database is, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// What it knows.
    pub kind: Kind,
    /// Where it is.
    pub path: PathBuf,
    /// What the one in use says of itself; none where none is.
    pub in_use: Option<Facts>,
    /// Why the file as it is now is not in use, where it is not.
    pub problem: Option<String>,
}

/// A file as it was when it was last looked at.
type Seen = (u64, u64, i64, i64);

struct Slot {
    kind: Kind,
    path: PathBuf,
    seen: Option<Seen>,
    table: Option<Arc<Table>>,
    in_use: Option<Facts>,
    problem: Option<String>,
}

/// Keeps the databases.
pub struct Keeper {
    config: Config,
    slots: Vec<Slot>,
    view: Arc<View>,
    metrics: Metrics,
    states: watch::Sender<Vec<Database>>,
}

impl Keeper {
    /// Reads the databases that `config` names, and publishes them to `view`. One that cannot be read is
    /// told of and is neutral; where a policy that bans or limits depends on it, and `on_missing` says so,
    /// that is an error. Blocks.
    pub fn open(config: &Config, view: Arc<View>, metrics: Metrics) -> Result<Self, String> {
        let slot = |kind| {
            let path = config.path(kind)?.to_owned();
            Some(Slot { kind, path, seen: None, table: None, in_use: None, problem: None })
        };
        let slots: Vec<_> = Kind::ALL.into_iter().filter_map(slot).collect();
        let mut keeper =
            Self { config: config.clone(), slots, view, metrics, states: watch::Sender::default() };
        keeper.look();
        let missing = keeper.slots.iter().find(|slot| {
            slot.table.is_none() && config.on_missing == OnMissing::Refuse && config.depends_on(slot.kind)
        });
        match missing {
            Some(Slot { path, problem, kind, .. }) => Err(format!(
                "{}: {}; a policy goes by it: mend geoip.{}, or set geoip.on_missing = \"start\"",
                path.display(),
                problem.as_deref().unwrap_or("it cannot be read"),
                kind.name()
            )),
            None => Ok(keeper),
        }
    }

    /// How the databases are, from now on.
    pub fn states(&self) -> watch::Receiver<Vec<Database>> {
        self.states.subscribe()
    }

    /// Takes up the files that have changed; whether anything is otherwise now. Blocks.
    pub fn look(&mut self) -> bool {
        let mut is_new = false;
        for slot in &mut self.slots {
            let seen = seen(&slot.path);
            if seen.is_some() && seen == slot.seen {
                continue;
            }
            slot.seen = seen;
            match read(&slot.path, slot.kind, self.config.max_bytes) {
                Ok((table, facts)) => is_new |= slot.take(table, facts, &self.metrics),
                Err(error) => {
                    // It may be whole at the next look without having been touched in between.
                    if matches!(error, ReadError::Changing) {
                        slot.seen = None;
                    }
                    let told = format!("{:#}", anyhow::Error::new(error));
                    slot.refuse(told, &self.metrics);
                }
            }
        }
        if is_new || self.view.atlas().is_empty() {
            let tables = self.slots.iter().filter_map(|slot| slot.table.clone()).collect();
            self.view.set_atlas(Atlas::new(tables, Policies::new(self.config.policies.clone())));
        }
        self.states.send_replace(self.slots.iter().map(Slot::state).collect());
        is_new
    }

    /// Looks at the files now and then until `stop`; `changed` is called whenever one was taken up.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        mut changed: impl FnMut() + Send,
    ) -> anyhow::Result<()> {
        let mut period = tokio::time::interval(Duration::from_secs(self.config.check_secs));
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = period.tick() => {}
            }
            let is_new;
            (self, is_new) = tokio::task::spawn_blocking(move || {
                let is_new = self.look();
                (self, is_new)
            })
            .await?;
            if is_new {
                changed();
            }
        }
    }
}

impl Slot {
    fn take(&mut self, table: Table, facts: Facts, metrics: &Metrics) -> bool {
        if self.in_use.as_ref().is_some_and(|before| before.built_at > facts.built_at) {
            self.refuse("it is older than the one in use, which stays".to_owned(), metrics);
            return false;
        }
        metrics.taken(self.kind, &facts);
        tracing::info!(
            database = self.kind.name(),
            kind = facts.database_type,
            stretches = facts.stretches,
            "a database of places is in use"
        );
        (self.table, self.in_use, self.problem) = (Some(Arc::new(table)), Some(facts), None);
        true
    }

    fn refuse(&mut self, problem: String, metrics: &Metrics) {
        metrics.refused(self.kind);
        // Told once, and not at each look.
        if self.problem.as_ref() != Some(&problem) {
            let (database, path) = (self.kind.name(), self.path.display());
            if self.table.is_some() {
                tracing::error!(database, %path, problem, "a database of places is not usable; the last one stays in use");
            } else {
                tracing::error!(database, %path, problem, "a database of places is not usable: what it would know is unknown");
            }
        }
        self.problem = Some(problem);
    }

    fn state(&self) -> Database {
        Database {
            kind: self.kind,
            path: self.path.clone(),
            in_use: self.in_use.clone(),
            problem: self.problem.clone(),
        }
    }
}

fn seen(path: &Path) -> Option<Seen> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}
