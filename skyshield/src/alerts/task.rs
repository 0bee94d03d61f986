//! The task that judges, keeps and tells; its handle.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounter, Registry};
use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::config::{Config, Severity};
use super::desk::Desk;
use super::happened::Happened;
use super::judge::{Alert, Judge, MAX_ALERTS};
use super::message::Notice;
use super::metrics::Metrics;
use super::sender::{self, Attempt, Receivers};
use crate::engine::happening::{Happening, Teller};
use crate::engine::reading::Readings;
use crate::monitor::now_ms;
use crate::store::{AlertRow, Kept, Outgoing, Reader, Record, Store};

/// How often it is seen whether a message is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What happens and is not taken up yet; beyond it further ones are dropped and counted.
const HAPPENINGS: usize = 256;
/// Alerts that a follower may be behind; beyond it he misses some, and is told how many.
const CHANGES: usize = 1024;
/// A message is on the disk within this long, or it is sent without.
const KEPT_WITHIN: Duration = Duration::from_secs(5);

/// The handle, for who asks.
#[derive(Clone)]
pub struct Alerts {
    receivers: Receivers,
    happenings: mpsc::Sender<Happening>,
    erasures: mpsc::Sender<Erasure>,
    changes: broadcast::Sender<AlertRow>,
    dropped: IntCounter,
}

/// Whom to forget, and who waits for it: how many alerts named them.
type Erasure = (String, oneshot::Sender<usize>);

/// What came of a test.
#[derive(Clone, Debug, Serialize)]
pub struct Tested {
    /// The receiver.
    pub receiver: String,
    /// Whether it took the message.
    pub sent: bool,
    /// Why not.
    pub why: Option<String>,
}

/// The task's state.
pub struct Task {
    judge: Judge,
    happened: Happened,
    happenings: mpsc::Receiver<Happening>,
    erasures: mpsc::Receiver<Erasure>,
    changes: broadcast::Sender<AlertRow>,
    desk: Desk,
    metrics: Metrics,
    receivers: Receivers,
    store: Store,
    /// What is to be sent, as it was left by the daemon before.
    left: Vec<Outgoing>,
    /// What no rule watches any more.
    orphans: Vec<Alert>,
}

impl Alerts {
    /// Whom rooms tell of what happens.
    pub fn teller(&self) -> Teller {
        let (happenings, dropped) = (self.happenings.clone(), self.dropped.clone());
        Arc::new(move |happening| {
            if happenings.try_send(happening).is_err() {
                dropped.inc();
            }
        })
    }

    /// Every alert from now on, as it begins and as it ends.
    pub fn changes(&self) -> broadcast::Receiver<AlertRow> {
        self.changes.subscribe()
    }

    /// Has everything forgotten that names `whom` and is not on the disk; how many alerts that were. None where nobody
    /// watches.
    pub async fn erase(&self, whom: &str) -> Option<usize> {
        let (waiting, forgotten) = oneshot::channel();
        self.erasures.send((whom.to_owned(), waiting)).await.ok()?;
        forgotten.await.ok()
    }

    /// Sends a message to everyone and waits for what comes of it.
    pub async fn test(&self) -> Vec<Tested> {
        let mut tries = JoinSet::new();
        for at in 0..self.receivers.0.len() {
            let receivers = self.receivers.clone();
            tries.spawn(async move {
                let receiver = receivers.0.get(at)?;
                let attempt = receiver.send(&Notice::test(now_ms()), &ulid::Ulid::new().to_string()).await;
                let why = match attempt {
                    Attempt::Done => None,
                    Attempt::Later(why) | Attempt::Never(why) => Some(why),
                };
                Some(Tested { receiver: receiver.name.clone(), sent: why.is_none(), why })
            });
        }
        let mut told: Vec<_> = tries.join_all().await.into_iter().flatten().collect();
        told.sort_by(|one, other| one.receiver.cmp(&other.receiver));
        told
    }
}

impl Task {
    /// The task by `config`, its handle; what fires and what is to be sent is taken up from the store.
    pub fn new(
        config: &Config,
        registry: &Registry,
        (store, reader): (Store, &Reader),
        receivers: Receivers,
    ) -> anyhow::Result<(Self, Alerts)> {
        let metrics = Metrics::new(registry)?;
        let mut desk = Desk::new(config);
        let kept = reader.alerts_firing(None, u32::try_from(MAX_ALERTS)?)?;
        let mut firing = Vec::with_capacity(kept.len());
        for row in kept {
            let told_ms = row.notified_at_ms;
            let alert = Alert::of(row);
            desk.restore(alert.clone(), told_ms, now_ms());
            firing.push(alert);
        }
        let (judge, strays) = Judge::new(config.all_rules(), firing);
        let mut happened = Happened::default();
        let (known, orphans): (Vec<_>, Vec<_>) =
            strays.into_iter().partition(|alert| Happened::is_of(&alert.rule));
        for alert in known {
            happened.restore(alert, now_ms());
        }
        let (sender, happenings) = mpsc::channel(HAPPENINGS);
        let (eraser, erasures) = mpsc::channel(1);
        let dropped = metrics.refused.clone();
        let changes = broadcast::channel(CHANGES).0;
        let handle = Alerts {
            receivers: receivers.clone(),
            happenings: sender,
            erasures: eraser,
            changes: changes.clone(),
            dropped,
        };
        let left = reader.alerts_outgoing()?;
        let task = Self {
            judge,
            happened,
            happenings,
            erasures,
            changes,
            desk,
            metrics,
            receivers,
            store,
            left,
            orphans,
        };
        Ok((task, handle))
    }

    /// Judges `readings` as they come, until `stop`.
    pub async fn run(
        mut self,
        mut readings: watch::Receiver<Arc<Readings>>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut senders = JoinSet::new();
        let queues: Vec<_> = (0..self.receivers.0.len())
            .map(|at| {
                let (queue, messages) = mpsc::channel(sender::QUEUE);
                let (receivers, metrics, store) =
                    (self.receivers.clone(), self.metrics.clone(), self.store.clone());
                senders.spawn(sender::deliver(receivers, at, messages, metrics, store, stop.clone()));
                queue
            })
            .collect();
        let left = std::mem::take(&mut self.left);
        for message in left {
            self.hand_over(&queues, message);
        }
        self.end_orphans();
        let mut period = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = readings.changed() => {
                    // Nobody looks any more: the daemon is about to end.
                    if changed.is_err() {
                        stop.cancelled().await;
                        break;
                    }
                    let seen = readings.borrow_and_update().clone();
                    self.judge(&seen);
                }
                Some(happening) = self.happenings.recv() => self.take_up(happening),
                Some((whom, waiting)) = self.erasures.recv() => {
                    self.desk.erase(&whom);
                    // Who has gone meanwhile need not know how many.
                    let _gone = waiting.send(self.happened.erase(&whom));
                    self.count_firing();
                }
                _ = period.tick() => self.tell(&queues).await,
            }
        }
        drop(queues);
        while senders.join_next().await.is_some() {}
        Ok(())
    }

    fn judge(&mut self, readings: &Readings) {
        let now = now_ms();
        let mut ids = ulid::Generator::new();
        // Within a millisecond ids of one generator grow; it runs out only after 2^80 of them.
        let mut mint = || ids.generate().unwrap_or_else(|_| ulid::Ulid::new()).to_string();
        let changes = self.judge.judge(readings, now, &mut mint);
        self.metrics.refused.inc_by(std::mem::take(&mut self.judge.refused));
        self.changed(changes, now);
        let over = self.happened.over(now);
        self.keep(over.iter().map(|alert| alert.row(None)).collect());
        // That something does not happen any more is no news.
        for alert in &over {
            self.desk.forget(alert);
        }
        self.count_firing();
    }

    /// Something happened of which people are to be told.
    fn take_up(&mut self, happening: Happening) {
        let now = now_ms();
        let begun = self.happened.take(happening, now, &mut || ulid::Ulid::new().to_string());
        self.metrics.refused.inc_by(std::mem::take(&mut self.happened.refused));
        self.changed(begun.into_iter().collect(), now);
        self.count_firing();
    }

    fn changed(&mut self, changes: Vec<Alert>, now: i64) {
        self.keep(changes.iter().map(|alert| alert.row(None)).collect());
        for alert in changes {
            if alert.resolved_at_ms.is_none() {
                self.metrics.begun(alert.severity);
                let Alert { rule, which, value, .. } = &alert;
                tracing::warn!(rule, which, value, severity = alert.severity.name(), "an alert began");
            } else {
                tracing::info!(rule = alert.rule, which = alert.which, "an alert ended");
            }
            self.desk.take(alert, now);
        }
    }

    fn count_firing(&self) {
        for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
            let firing = self.judge.firing(severity) + self.happened.firing(severity);
            self.metrics.set_firing(severity, firing);
        }
    }

    fn end_orphans(&mut self) {
        let now = now_ms();
        let ended: Vec<_> = std::mem::take(&mut self.orphans)
            .into_iter()
            .map(|alert| Alert { resolved_at_ms: Some(now), ..alert })
            .collect();
        self.keep(ended.iter().map(|alert| alert.row(None)).collect());
        for alert in ended {
            self.desk.take(alert, now);
        }
    }

    /// What is due goes to the disk first, and then to whoever is to get it.
    async fn tell(&mut self, queues: &[mpsc::Sender<Outgoing>]) {
        for (notice, alerts) in self.desk.due(now_ms()) {
            let Ok(text) = serde_json::to_string(&notice) else { continue };
            let messages: Vec<_> = self
                .receivers
                .0
                .iter()
                .map(|receiver| Outgoing {
                    id: ulid::Ulid::new().to_string(),
                    receiver: receiver.name.clone(),
                    notice: text.clone(),
                    made_at_ms: notice.at_ms,
                })
                .collect();
            if !messages.is_empty() {
                let kept = Kept::Outgoing { messages: messages.clone(), told: alerts, at_ms: notice.at_ms };
                let kept = self.store.commit(Record::Monitoring(Box::new(kept)));
                let kept = tokio::time::timeout(KEPT_WITHIN, kept).await;
                // A disk that is dead, or does not answer, keeps nobody from being told of it.
                match kept {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::error!(%error, "a message could not be kept; it is sent all the same");
                    }
                    Err(_) => tracing::error!("a message is not kept in time; it is sent all the same"),
                }
            }
            for message in messages {
                self.hand_over(queues, message);
            }
        }
    }

    fn hand_over(&self, queues: &[mpsc::Sender<Outgoing>], message: Outgoing) {
        let at = self.receivers.0.iter().position(|receiver| receiver.name == message.receiver);
        let (receiver, id) = (message.receiver.clone(), message.id.clone());
        let refused = match at.and_then(|at| queues.get(at)) {
            Some(queue) => queue.try_send(message).is_err(),
            // It is of a receiver that is not there any more.
            None => true,
        };
        if refused {
            self.metrics.count(at.map_or("gone", |_| &receiver), "dropped");
            let _counted = self.store.append(Record::Monitoring(Box::new(Kept::Sent(vec![id]))));
        }
    }

    fn keep(&self, rows: Vec<AlertRow>) {
        for row in &rows {
            // Nobody may follow.
            let _heard = self.changes.send(row.clone());
        }
        if !rows.is_empty() {
            // Where the store's queue is full, that is counted there.
            let _counted = self.store.append(Record::Monitoring(Box::new(Kept::Alerts(rows))));
        }
    }
}

impl Alert {
    fn of(row: AlertRow) -> Self {
        Self {
            id: row.id,
            rule: row.rule,
            which: row.which,
            severity: Severity::named(&row.severity),
            summary: row.summary,
            value: row.value,
            started_at_ms: row.started_at_ms,
            resolved_at_ms: row.resolved_at_ms,
        }
    }

    fn row(&self, notified_at_ms: Option<i64>) -> AlertRow {
        AlertRow {
            id: self.id.clone(),
            rule: self.rule.clone(),
            which: self.which.clone(),
            severity: self.severity.name().to_owned(),
            summary: self.summary.clone(),
            value: self.value,
            started_at_ms: self.started_at_ms,
            resolved_at_ms: self.resolved_at_ms,
            notified_at_ms,
        }
    }
}
