//! The task that counts: batches in groups, each group on the disk before anyone is told.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use prometheus::Registry;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::batch::{Adds, Batch, Event, Invalid, parse};
use super::config::Config;
use super::group::{Group, Memory, Taken};
use super::metrics::Metrics;
use super::observed::{Observed, Users};
use crate::clock;
use crate::store::{self, Reader, Record, Store};

/// Batches that may wait; beyond it the sender is told to come again.
const QUEUE: usize = 64;
/// How often what rules have counted is collected: so much of it may be lost to a crash.
const COLLECT_EVERY: Duration = Duration::from_secs(1);

/// What came of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Events that were counted, now or when the batch came first.
    pub events: u32,
    /// Whether it had come before.
    pub repeated: bool,
}

/// Why a batch was not counted.
#[derive(Debug, thiserror::Error)]
pub enum Outcome {
    /// Its key was used for something else.
    #[error("this Idempotency-Key came with another batch before; take a new one for each batch")]
    Conflict,
    /// Too many wait.
    #[error("too many batches wait to be counted; send it again, under the same key")]
    Busy,
    /// The disk refuses.
    #[error("the batch could not be kept; send it again, under the same key")]
    Store(#[source] store::Error),
}

/// A batch, and who waits for what becomes of it.
type Job = (Batch, Reply);
/// Who waits.
type Reply = oneshot::Sender<Result<Receipt, Outcome>>;

/// The handle to the task. Clones go to the same.
#[derive(Clone, Debug)]
pub struct Business {
    queue: mpsc::Sender<Job>,
    config: Arc<Config>,
    secret: [u8; 32],
    reader: Reader,
}

/// The task's state.
pub struct Ingest {
    jobs: mpsc::Receiver<Job>,
    observed: Arc<Observed>,
    users: Users,
    store: Store,
    config: Arc<Config>,
    state: State,
}

/// What a group is made from.
struct State {
    memory: Memory,
    metrics: Metrics,
    /// What rules have counted and the disk has refused.
    left: Vec<Event>,
}

impl Business {
    /// The task, its handle, and what watches requests; with what is kept already.
    pub fn new(
        config: &Config,
        registry: &Registry,
        (store, reader): (Store, Reader),
        secret: [u8; 32],
    ) -> anyhow::Result<(Self, Ingest, Arc<Observed>)> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (observed, users) = Observed::new(config, secret);
        let (observed, config) = (Arc::new(observed), Arc::new(config.clone()));
        let metrics = Metrics::new(registry, &config, &reader, now_secs())?;
        let memory = Memory::load(reader.clone())?;
        let state = State { memory, metrics, left: Vec::new() };
        let ingest = Ingest {
            jobs,
            observed: Arc::clone(&observed),
            users,
            store,
            config: Arc::clone(&config),
            state,
        };
        Ok((Self { queue, config, secret, reader }, ingest, observed))
    }

    /// What is declared.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is kept.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Batches that wait, and how many can.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// How many batches can wait.
    pub const CAPACITY: usize = QUEUE;

    /// Reads the batch that `sender` sends under the key `key`.
    pub fn read(&self, body: &[u8], sender: &str, key: &str) -> Result<Batch, Invalid> {
        parse(body, (sender, key), &self.config, &self.secret, now_secs())
    }

    /// Counts `batch`: it is on the disk when this returns well.
    pub async fn count(&self, batch: Batch) -> Result<Receipt, Outcome> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send((batch, reply)).map_err(|_| Outcome::Busy)?;
        answer.await.map_err(|_| Outcome::Busy)?
    }
}

impl Ingest {
    /// Counts until `stop`; then what waits is counted still.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut period = tokio::time::interval(COLLECT_EVERY);
        let mut has_senders = true;
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                job = self.jobs.recv(), if has_senders => {
                    has_senders = job.is_some();
                    job
                }
                _ = period.tick() => None,
            };
            self.count_group(first).await?;
        }
        self.jobs.close();
        self.count_group(None).await
    }

    /// Counts `first`, and what waits behind it, at once. Nobody is told before it is on the disk.
    async fn count_group(&mut self, first: Option<Job>) -> anyhow::Result<()> {
        let rest = std::iter::from_fn(|| self.jobs.try_recv().ok()).take(QUEUE);
        let jobs: Vec<_> = first.into_iter().chain(rest).collect();
        let mut events = self.collect();
        let State { memory, .. } = &mut self.state;
        let config = &self.config;
        let now_ms = crate::monitor::now_ms();
        // Sums and sketches of some thousand events: a few milliseconds, and now and then a read.
        let grouped = aside(|| {
            let mut group = Group::default();
            memory.prepare(&events, config)?;
            for event in &events {
                memory.add(&mut group, event);
            }
            let mut told = Vec::with_capacity(jobs.len());
            for (batch, reply) in jobs {
                told.push((memory.take(&mut group, &batch, config, now_ms)?, batch.events.len(), reply));
            }
            let kept = group.to_kept(config);
            Ok::<_, rusqlite::Error>((group, kept, told))
        });
        let (group, kept, told) = match grouped {
            Ok(grouped) => grouped,
            Err(error) => {
                // Who waits finds the line dead, and sends again.
                tracing::error!(%error, "business events could not be grouped");
                self.keep_for_later(events);
                return Ok(());
            }
        };
        let mut written = Ok(());
        if !group.is_empty() {
            written = self.store.commit(Record::Monitoring(Box::new(kept))).await;
        }
        let State { memory, metrics, left } = &mut self.state;
        if written.is_ok() {
            left.clear();
            metrics.counted(&group, config, now_secs());
            memory.commit(group);
            metrics.show_users(memory, config, now_secs());
        } else {
            self.keep_for_later(std::mem::take(&mut events));
        }
        self.tell(told, written);
        Ok(())
    }

    fn tell(&self, told: Vec<(Taken, usize, Reply)>, written: Result<(), store::Error>) {
        let count = |outcome: &str| self.state.metrics.batches.with_label_values(&[outcome]).inc();
        let failed = written.err().map(|error| error.to_string());
        for (taken, events, reply) in told {
            let events = u32::try_from(events).unwrap_or(u32::MAX);
            let answer = match (taken, &failed) {
                (Taken::Conflict, _) => {
                    count("conflict");
                    Err(Outcome::Conflict)
                }
                (_, Some(_)) => {
                    count("failed");
                    Err(Outcome::Store(store::Error::Queue("the disk refuses")))
                }
                (Taken::Repeated(events), None) => {
                    count("repeated");
                    Ok(Receipt { events, repeated: true })
                }
                (Taken::New, None) => {
                    count("counted");
                    Ok(Receipt { events, repeated: false })
                }
            };
            // Who has gone meanwhile sends it again under the same key.
            let _gone = reply.send(answer);
        }
        if let Some(error) = failed {
            tracing::error!(error, "business events could not be kept");
        }
    }

    /// What rules have counted since the last time, and what was left then.
    fn collect(&mut self) -> Vec<Event> {
        let mut events = self.state.left.clone();
        let at = now_secs();
        let counted = self.observed.collect().filter(|(_, count)| *count > 0);
        events.extend(counted.map(|(kind, count)| {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            Event { kind, at, adds: Adds::Count(count) }
        }));
        let most = self.users.max_capacity();
        let users = std::iter::from_fn(|| self.users.try_recv().ok()).take(most);
        events.extend(users.map(|(kind, user)| Event { kind, at, adds: Adds::User(user) }));
        self.state.metrics.lost.inc_by(self.observed.collect_lost());
        events
    }

    /// Keeps the counts for the next time; users come again.
    fn keep_for_later(&mut self, events: Vec<Event>) {
        /// Seconds of a disk that refuses, at the most.
        const MOST: usize = 4096;
        let (mut counts, users): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| matches!(event.adds, Adds::Count(_)));
        let over = counts.len().saturating_sub(MOST);
        counts.drain(..over);
        self.state.metrics.lost.inc_by((users.len() + over) as u64);
        self.state.left = counts;
    }
}

/// Runs what takes a moment, where other tasks do not wait for it.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    let flavor = tokio::runtime::Handle::current().runtime_flavor();
    if flavor == tokio::runtime::RuntimeFlavor::MultiThread {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

fn now_secs() -> i64 {
    clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::super::{Period, report};
    use super::*;

    fn config() -> Config {
        toml::from_str(
            "[[kinds]]\nname = \"charts\"\nkind = \"count\"\n\
             [[kinds]]\nname = \"revenue\"\nkind = \"sum\"\ncurrencies = [\"EUR\", \"USD\"]\n\
             [[kinds]]\nname = \"users\"\nkind = \"unique\"\n\
             [[conversions]]\nname = \"users to charts\"\nfrom = \"users\"\nto = \"charts\"\n",
        )
        .unwrap()
    }

    fn open(dir: &std::path::Path) -> (store::Opened, Business, Ingest) {
        let opened = store::open(&store::Config { dir: dir.join("state"), ..Default::default() }).unwrap();
        let parts = (opened.store.clone(), opened.reader.clone());
        let (business, ingest, _) = Business::new(&config(), &Registry::new(), parts, [3; 32]).unwrap();
        (opened, business, ingest)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_batch_counts_once_whoever_sends_it_again_and_outlives_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let body = br#"{"events": [{"kind": "charts", "count": 2}, {"kind": "users", "user": "u1"},
            {"kind": "revenue", "amount": 1999, "currency": "EUR"}, {"kind": "revenue", "amount": -500, "currency": "EUR"},
            {"kind": "revenue", "amount": 7, "currency": "USD"}, {"kind": "users", "user": "u2"}]}"#;
        for round in 0..2 {
            let (opened, business, ingest) = open(dir.path());
            let stop = CancellationToken::new();
            let task = tokio::spawn(ingest.run(stop.clone()));
            let receipt = business.count(business.read(body, "app", "key").unwrap()).await.unwrap();
            assert_eq!(receipt, Receipt { events: 6, repeated: round > 0 });
            let other = business.read(br#"{"events": [{"kind": "charts"}]}"#, "app", "key").unwrap();
            assert!(matches!(business.count(other).await, Err(Outcome::Conflict)));
            stop.cancel();
            task.await.unwrap().unwrap();
            let told = report(business.reader(), business.config(), Period::Day, now_secs()).unwrap();
            let told = serde_json::to_value(&told).unwrap();
            assert_eq!(told["kinds"][0]["count"], 2, "{told:#}");
            assert_eq!(told["kinds"][1]["amounts"][0]["amount"], 1499);
            assert_eq!(told["kinds"][1]["amounts"][1]["amount"], 7);
            assert_eq!(told["kinds"][2]["users"], 2);
            assert_eq!(told["conversions"][0]["rate"], 1.0);
            drop(business);
            let store::Opened { store, writer, .. } = opened;
            store.close();
            writer.join().unwrap();
        }
    }
}
