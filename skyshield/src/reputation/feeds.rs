//! The lists: each fetched on its period, checked, kept on disk, and put in force; where anything about it
//! is wrong, the last good one stays.

mod disk;
mod fetch;
mod slot;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::fetch::{Brought, Fetch, Outcome};
use self::slot::Slot;
use super::client::Client;
use super::metrics::Metrics;
use super::secret::{Secret, SecretError};
use crate::clock;
use crate::engine::feeds::{Config, List, Lists, Measure};
use crate::engine::notebook::Notebook;
use crate::engine::ranges::Ranges;
use crate::engine::reputation::{Budget, Kept};
use crate::engine::view::View;

/// How often it is seen what is due, and what has been hit.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Lists that are fetched at once: each may take tens of megabytes.
const AT_ONCE: usize = 2;
/// Wishes that wait.
const QUEUE: usize = 16;
/// The page of the notebook, and the key of the budget on that of budgets.
const PAGE: &str = "feeds";
const BUDGETS: &str = "budgets";
const BLACKLIST: &str = "abuseipdb-blacklist";

/// How a list is, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeedState {
    /// What it is called.
    pub name: String,
    /// What comes of being on it.
    pub action: &'static str,
    /// How much is on the one in force; none where none is.
    pub in_force: Option<Measure>,
    /// When it was last fetched and found good, in milliseconds since 1970.
    pub fetched_at_ms: Option<i64>,
    /// In how many seconds it is fetched again.
    pub next_in_secs: u64,
    /// Requests from sources on it, since the daemon started.
    pub hits: u64,
    /// Why what came last is not in force, where it is not.
    pub problem: Option<String>,
}

/// There is no such list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such list")]
pub struct Unknown;

/// A wish of an operator's.
struct Wish {
    name: String,
    accept: bool,
    reply: oneshot::Sender<Result<(), Unknown>>,
}

/// The handle to the lists.
#[derive(Clone, Debug)]
pub struct Feeding {
    states: watch::Receiver<Vec<FeedState>>,
    wishes: mpsc::Sender<Wish>,
}

impl std::fmt::Debug for Wish {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "a wish about {}", self.name)
    }
}

impl Default for Feeding {
    /// No lists.
    fn default() -> Self {
        Self { states: watch::Sender::new(Vec::new()).subscribe(), wishes: mpsc::channel(1).0 }
    }
}

impl Feeding {
    /// How the lists are.
    pub fn states(&self) -> Vec<FeedState> {
        self.states.borrow().clone()
    }

    /// Has the list `name` fetched now; with `accept` it is taken up although it has shrunk.
    pub async fn refresh(&self, name: &str, accept: bool) -> Result<(), Unknown> {
        let (reply, answer) = oneshot::channel();
        self.wishes.try_send(Wish { name: name.to_owned(), accept, reply }).map_err(|_| Unknown)?;
        answer.await.map_err(|_| Unknown)?
    }
}

/// The task.
pub struct Feeder {
    slots: Vec<Slot>,
    fetching: JoinSet<(usize, Brought)>,
    client: Client,
    key: Option<Secret>,
    dir: PathBuf,
    view: Arc<View>,
    notebook: Arc<dyn Notebook>,
    metrics: Metrics,
    blacklists: Budget,
    states: watch::Sender<Vec<FeedState>>,
    wishes: mpsc::Receiver<Wish>,
    handle: Feeding,
}

/// What a feeder is made from.
pub struct Parts {
    /// The client.
    pub client: Client,
    /// The folder in which lists are kept.
    pub dir: PathBuf,
    /// Where lists are published.
    pub view: Arc<View>,
    /// Where it is kept when they came.
    pub notebook: Arc<dyn Notebook>,
    /// What is counted.
    pub metrics: Metrics,
}

impl Feeder {
    /// A feeder with the lists as they were kept, in force already. Blocks.
    pub fn open(
        config: &Config,
        reputation: &crate::engine::reputation::Config,
        parts: Parts,
    ) -> Result<Self, SecretError> {
        let Parts { client, dir, view, notebook, metrics } = parts;
        let key = if config.lists.iter().any(|feed| feed.abuseipdb) {
            Secret::load("abuseipdb_key", reputation.abuseipdb.key_file.as_deref())?
        } else {
            None
        };
        let protected = protected(&view);
        let pages = notebook.page(PAGE, 1000);
        let slots: Vec<_> = config
            .lists
            .iter()
            .map(|feed| {
                let page = pages.iter().find(|page| page.key == feed.name);
                Slot::recall(feed, page.map(|page| page.value.as_str()), &dir, &protected)
            })
            .collect();
        let budgets = notebook.page(BUDGETS, 100);
        let spent = budgets.iter().find(|kept| kept.key == BLACKLIST);
        let spent: Option<Kept> = spent.and_then(|kept| serde_json::from_str(&kept.value).ok());
        let blacklists = Budget::new(reputation.abuseipdb.blacklists_per_day, spent);
        let states = watch::Sender::new(Vec::new());
        let (wish, wishes) = mpsc::channel(QUEUE);
        let handle = Feeding { states: states.subscribe(), wishes: wish };
        let mut feeder = Self {
            slots,
            fetching: JoinSet::new(),
            client,
            key,
            dir,
            view,
            notebook,
            metrics,
            blacklists,
            states,
            wishes,
            handle,
        };
        feeder.publish();
        feeder.tell();
        Ok(feeder)
    }

    /// The handle.
    pub fn handle(&self) -> Feeding {
        self.handle.clone()
    }

    /// Fetches until `stop`; `changed` is called whenever a list was put in force.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        mut changed: impl FnMut() + Send,
    ) -> anyhow::Result<()> {
        let mut period = tokio::time::interval(LOOK_EVERY);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(wish) = self.wishes.recv() => self.wish(wish),
                Some(Ok((at, brought))) = self.fetching.join_next() => {
                    if self.brought(at, brought) {
                        self.publish();
                        changed();
                    }
                    self.tell();
                }
                _ = period.tick() => self.tell(),
            }
            self.fetch_what_is_due().await;
        }
    }

    fn wish(&mut self, Wish { name, accept, reply }: Wish) {
        let found = self.slots.iter_mut().find(|slot| slot.feed.name == name);
        let outcome = found.map(|slot| slot.hurry(accept, clock::now())).ok_or(Unknown);
        let _gone = reply.send(outcome);
    }

    async fn fetch_what_is_due(&mut self) {
        for at in 0..self.slots.len() {
            if self.fetching.len() >= AT_ONCE {
                return;
            }
            if !self.slots[at].is_due(clock::now()) {
                continue;
            }
            if self.slots[at].feed.abuseipdb && !self.pay().await {
                self.slots[at].put_off("no fetch of the blacklist is left today", clock::now());
                continue;
            }
            let slot = &mut self.slots[at];
            slot.is_fetching = true;
            let fetch = Fetch {
                feed: slot.feed.clone(),
                known: slot.known.clone(),
                before: if slot.accept { None } else { slot.known.measure },
                key: self.key.clone().filter(|_| slot.feed.abuseipdb),
                dir: self.dir.clone(),
                client: self.client.clone(),
                protected: protected(&self.view),
            };
            self.fetching.spawn(async move { (at, fetch.run().await) });
        }
    }

    /// Whether another fetch of the provider's blacklist is within today's budget; it is spent then.
    async fn pay(&mut self) -> bool {
        let wall = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if !self.blacklists.allows(1.0, wall) {
            return false;
        }
        if let Some(kept) = self.blacklists.to_keep() {
            let value = serde_json::to_string(&kept).unwrap_or_default();
            if !self.notebook.note_now(BUDGETS, BLACKLIST, value, None).await {
                return false;
            }
            self.blacklists.note_kept(kept);
        }
        self.blacklists.spend()
    }

    /// Takes up what came; whether a list is otherwise now.
    fn brought(&mut self, at: usize, Brought { outcome, known }: Brought) -> bool {
        let Some(slot) = self.slots.get_mut(at) else { return false };
        let name = slot.feed.name.clone();
        self.metrics.feed_fetches.with_label_values(&[name.as_str(), outcome.name()]).inc();
        let is_new = match outcome {
            Outcome::New(ranges) => {
                tracing::info!(feed = name, ranges = ranges.len(), "a list is in force");
                slot.take(ranges, known, clock::now());
                true
            }
            Outcome::Same => {
                slot.same(known, clock::now());
                false
            }
            Outcome::Refused(problem) => {
                tracing::error!(feed = name, problem, "a list was refused; the last one stays in force");
                slot.fail(problem, clock::now());
                slot.is_refused = true;
                return false;
            }
            Outcome::Failed(failure) => {
                tracing::warn!(
                    feed = name,
                    failure = failure.name(),
                    "a list could not be fetched; the last one stays in force"
                );
                slot.fail(format!("it could not be fetched: {}", failure.name()), clock::now());
                return false;
            }
        };
        let value = serde_json::to_string(&slot.known).unwrap_or_default();
        self.notebook.note(PAGE, &name, value, None);
        is_new
    }

    fn publish(&self) {
        let lists = self.slots.iter().filter_map(|slot| {
            #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
            let weight = slot.feed.weight as f32;
            Some(List {
                name: slot.feed.name.as_str().into(),
                action: slot.feed.action,
                weight,
                ranges: slot.ranges.clone()?,
                hits: Arc::clone(&slot.hits),
            })
        });
        self.view.set_lists(Lists::new(lists.collect()));
    }

    fn tell(&mut self) {
        let now = clock::now();
        for slot in &self.slots {
            let name = [slot.feed.name.as_str()];
            let ranges = slot.ranges.as_ref().map_or(0, |ranges| ranges.len());
            self.metrics.feed_entries.with_label_values(&name).set(i64::try_from(ranges).unwrap_or(i64::MAX));
            self.metrics
                .feed_success
                .with_label_values(&name)
                .set(slot.known.fetched_at_ms.unwrap_or_default() / 1000);
            self.metrics.feed_refused.with_label_values(&name).set(i64::from(slot.is_refused));
            self.metrics.feed_failing.with_label_values(&name).set(i64::from(slot.is_failing()));
            let counted = self.metrics.feed_hits.with_label_values(&name);
            counted.inc_by(slot.hits.load(Ordering::Relaxed).saturating_sub(counted.get()));
        }
        self.states.send_replace(self.slots.iter().map(|slot| slot.state(now)).collect());
    }
}

fn protected(view: &View) -> Ranges {
    Ranges::of(view.never_ban().entries().iter().map(|(source, _)| source.as_prefix()))
}
