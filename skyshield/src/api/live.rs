//! What happens, as it is sent to those who follow: events in one ring, changes to decisions in another.
//!
//! Each event is made into text once, whoever reads it. A ring is bounded: who falls further behind than it
//! reaches has missed something, and is told. Readers run on threads that may have to wait long for a processor: what is
//! new is handed to them by a herald that runs among them, so that none of them holds a lock, while it waits, that
//! the rest of the API needs. Only who is behind looks into the ring.

mod metrics;
mod ring;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use prometheus::Registry;
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Notify, broadcast, watch};

use super::alerts::AlertBody;
use super::decisions::DecisionBody;
use super::time::rfc3339;
use crate::clock;
use crate::control::{Change, Happenings, millis, moment};
use crate::engine::decision::Decision;
use crate::store::{AlertRow, IncidentRow};
use metrics::Metrics;
use ring::{Numbered, Ring};

pub(super) use metrics::Reading;
pub(super) use ring::TooFarBehind;

/// Events that can be asked for again.
const EVENTS: usize = 8192;
/// Changes to decisions that can be asked for again.
const CHANGES: usize = 16_384;
/// Events that have gathered for this long are passed on together: a thousand readers are woken ten times a
/// second at the most.
const GATHER: Duration = Duration::from_millis(100);
/// Events that are passed on together at the most.
const TOGETHER: usize = 1024;

/// What happens, to be followed.
#[derive(Clone)]
pub(super) struct Live(Arc<Rings>);

struct Rings {
    events: Mutex<Ring<Frame>>,
    changes: Mutex<Ring<Made>>,
    /// Wakes the herald.
    news: Notify,
    is_over: AtomicBool,
    /// What the herald has told last; the herald alone writes it.
    told: watch::Sender<Told>,
    metrics: Metrics,
}

/// What readers are told of.
#[derive(Clone, Default)]
pub(super) enum Told {
    /// Nothing yet.
    #[default]
    Nothing,
    /// The newest events.
    Events(Frame),
    /// All is over.
    End,
}

/// Events that were passed on together.
#[derive(Clone)]
pub(super) struct Frame {
    /// The number before the first of them.
    pub(super) before: u64,
    /// The number of the last of them.
    pub(super) last: u64,
    /// Where in the text each begins, by number.
    begins: Arc<[(u64, usize)]>,
    text: Bytes,
}

impl Frame {
    /// The text of the events after number `seen`.
    pub(super) fn after(&self, seen: u64) -> Bytes {
        let from =
            self.begins.iter().find(|(number, _)| *number > seen).map_or(self.text.len(), |(_, at)| *at);
        self.text.slice(from..)
    }
}

/// A change to what is in force.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) revision: u64,
    pub(super) change: Change,
}

impl Live {
    /// Numbers go on from the time of the day, so that no number of an earlier daemon is taken for one of this.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        // Below 2^53, which every reader of JSON can count to.
        let began = u64::try_from(millis(clock::wall())).unwrap_or(0) << 12;
        let rings = Rings {
            events: Mutex::new(Ring::from(began)),
            changes: Mutex::new(Ring::from(began)),
            news: Notify::new(),
            is_over: AtomicBool::new(false),
            told: watch::Sender::default(),
            metrics: Metrics::new(registry)?,
        };
        Ok(Self(Arc::new(rings)))
    }

    /// Passes on what happens, until nothing does any more.
    pub(super) async fn follow(self, mut happenings: Happenings, mut alerts: broadcast::Receiver<AlertRow>) {
        let (mut changes, mut incidents, mut begun) = (Vec::new(), Vec::new(), Vec::new());
        let mut lost = happenings.lost();
        loop {
            tokio::select! {
                taken = happenings.changes.recv_many(&mut changes, TOGETHER) => if taken == 0 { return },
                Some(incident) = happenings.incidents.recv() => incidents.push(incident),
                alert = alerts.recv() => begun.extend(self.heard(alert)),
            }
            tokio::time::sleep(GATHER).await;
            while changes.len() < TOGETHER
                && let Ok(change) = happenings.changes.try_recv()
            {
                changes.push(change);
            }
            while incidents.len() < TOGETHER
                && let Ok(incident) = happenings.incidents.try_recv()
            {
                incidents.push(incident);
            }
            while begun.len() < TOGETHER
                && let Some(alert) = next(&mut alerts)
            {
                begun.extend(self.heard(alert));
            }
            if happenings.lost() != lost {
                self.0.metrics.dropped.with_label_values(&["lost"]).inc_by(happenings.lost() - lost);
                lost = happenings.lost();
                self.changes().forget();
            }
            self.pass_on(std::mem::take(&mut changes), &incidents, begun.drain(..));
            incidents.clear();
        }
    }

    /// An alert that was told of; those that were missed are counted.
    fn heard(&self, alert: Result<AlertRow, RecvError>) -> Option<AlertRow> {
        match alert {
            Ok(alert) => Some(alert),
            Err(RecvError::Lagged(missed)) => {
                self.0.metrics.dropped.with_label_values(&["lost"]).inc_by(missed);
                None
            }
            // Whoever follows holds on to who tells.
            Err(RecvError::Closed) => None,
        }
    }

    fn pass_on(
        &self,
        changes: Vec<Change>,
        incidents: &[Box<IncidentRow>],
        alerts: impl Iterator<Item = AlertRow>,
    ) {
        let mut told: Vec<(&str, String)> = Vec::with_capacity(changes.len() + incidents.len());
        let now = clock::now();
        for change in &changes {
            told.push(match change {
                Change::Made(decision) => {
                    ("decision", text(&DecisionBody::new(Decision::clone(decision), now)))
                }
                Change::Ended(id, cause) => ("ended", text(&json!({ "id": id, "cause": cause.name() }))),
            });
        }
        told.extend(incidents.iter().map(|incident| ("incident", text(&summary(incident)))));
        told.extend(alerts.map(|alert| ("alert", text(&AlertBody::new(alert)))));
        let mut kept = self.changes();
        for change in changes {
            let revision = kept.newest + 1;
            kept.push(Made { revision, change }, revision, CHANGES);
        }
        drop(kept);
        self.publish(&told);
    }

    /// Sends events to everyone who follows: a kind, and what it says as JSON.
    fn publish(&self, told: &[(&str, String)]) {
        let mut events = self.events();
        let (mut begins, mut all) = (Vec::with_capacity(told.len()), String::new());
        let before = events.newest;
        let mut number = before;
        for (kind, data) in told {
            number += 1;
            begins.push((number, all.len()));
            // To a string nothing fails to be written.
            let _written = write!(all, "id: {number}\nevent: {kind}\ndata: {data}\n\n");
        }
        let frame = Frame { before, last: number, begins: begins.into(), text: all.into() };
        events.push(frame, number, EVENTS);
        drop(events);
        self.0.news.notify_one();
    }

    /// Tells readers what is new, until all is over. There is one herald, on the threads of those it tells.
    pub(super) async fn herald(self) {
        let mut seen = self.newest();
        while !self.0.is_over.load(Ordering::Acquire) {
            self.0.news.notified().await;
            loop {
                match self.after(seen) {
                    Ok(Some(frame)) => {
                        seen = frame.last;
                        self.0.told.send_replace(Told::Events(frame));
                    }
                    Ok(None) => break,
                    // It is gone for readers too, who are told when they look.
                    Err(behind) => seen = behind.oldest,
                }
            }
        }
        self.0.told.send_replace(Told::End);
    }

    /// The number of the newest event.
    pub(super) fn newest(&self) -> u64 {
        self.events().newest
    }

    /// What is told from now on.
    pub(super) fn told(&self) -> watch::Receiver<Told> {
        self.0.told.subscribe()
    }

    /// The first events after number `seen` that were passed on together, if there are any.
    pub(super) fn after(&self, seen: u64) -> Result<Option<Frame>, TooFarBehind> {
        let events = self.events();
        events.reaches(seen)?;
        let at = events.items.partition_point(|frame| frame.last <= seen);
        Ok(events.items.get(at).cloned())
    }

    /// Ends every reader: the daemon is about to stop, or to hand over.
    pub(super) fn close(&self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.news.notify_one();
    }

    /// The number of the newest change to what is in force.
    pub(super) fn revision(&self) -> u64 {
        self.changes().newest
    }

    /// At the most `limit` changes after revision `seen`, and whether that is all.
    pub(super) fn changes_after(&self, seen: u64, limit: usize) -> Result<(Vec<Made>, bool), TooFarBehind> {
        let changes = self.changes();
        changes.reaches(seen)?;
        let mut after = changes.items.iter().filter(|made| made.revision > seen);
        let found = after.by_ref().take(limit).cloned().collect();
        Ok((found, after.next().is_none()))
    }

    /// Leaves nothing to be told again where something of it names `whom`: who follows has heard it, and who was away is
    /// told to read the lists.
    pub(super) fn erase(&self, whom: &str) {
        let says = |text: &[u8]| memchr::memmem::find(text, whom.as_bytes()).is_some();
        let mut events = self.events();
        if events.items.iter().any(|frame| says(&frame.text)) {
            events.forget_all();
        }
        drop(events);
        let mut changes = self.changes();
        let is_named = |made: &Made| match &made.change {
            Change::Made(decision) => {
                let Decision { source, reason, comment, .. } = &**decision;
                says(source.to_string().as_bytes())
                    || says(reason.as_bytes())
                    || comment.as_ref().is_some_and(|comment| says(comment.as_bytes()))
            }
            Change::Ended(..) => false,
        };
        if changes.items.iter().any(is_named) {
            changes.forget_all();
        }
    }

    /// Counts a reader, until what is given back is dropped.
    pub(super) fn reader(&self) -> Reading {
        self.0.metrics.reader()
    }

    /// Counts a reader that was let go.
    pub(super) fn count_dropped(&self, reason: &'static str) {
        self.0.metrics.dropped.with_label_values(&[reason]).inc();
    }

    fn events(&self) -> MutexGuard<'_, Ring<Frame>> {
        // Whoever panicked has left it whole: each change is one push.
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, Ring<Made>> {
        self.0.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Numbered for Frame {
    fn last(&self) -> u64 {
        self.last
    }
}

impl Numbered for Made {
    fn last(&self) -> u64 {
        self.revision
    }
}

/// What is there of a channel, without waiting.
fn next(alerts: &mut broadcast::Receiver<AlertRow>) -> Option<Result<AlertRow, RecvError>> {
    match alerts.try_recv() {
        Ok(alert) => Some(Ok(alert)),
        Err(TryRecvError::Lagged(missed)) => Some(Err(RecvError::Lagged(missed))),
        Err(TryRecvError::Empty | TryRecvError::Closed) => None,
    }
}

/// What a follower sees of an incident; the rest is under its id.
fn summary(incident: &IncidentRow) -> serde_json::Value {
    json!({
        "id": incident.id,
        "at": rfc3339(moment(incident.at_ms)),
        "address": incident.address,
        "score": incident.score,
        "act": incident.act,
        "door": incident.door,
        "route": incident.route,
        "method": incident.method,
        "host": incident.host,
        "target": incident.target,
    })
}

/// One line of JSON: serde escapes line ends, so that no text of an attacker's ends an event.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests;
