//! Carrying out effects in their order: kernel, disk, and the answer to whoever asked.

use std::collections::VecDeque;
use std::time::Instant;

use tokio::sync::oneshot;

use super::happenings::Change;
use super::{OrderError, Task, records, told};
use crate::clock;
use crate::dataplane::{self, Entry};
use crate::engine::decision::{Decision, DecisionId, Ended, Layer, Origin};
use crate::engine::effect::Effect;
use crate::engine::ledger::Banned;
use crate::engine::source::Source;
use crate::store::{self, Record};

/// An order whose record is on its way to the disk.
#[derive(Debug)]
pub(super) struct Committed {
    outcome: Result<(), store::Error>,
    rest: VecDeque<Effect>,
    closed: Vec<Record>,
    answer: Answer,
}

/// Whom to answer, and with what, once the record is on disk and the kernel in step.
#[derive(Debug)]
pub(super) enum Answer {
    Banned(Banned, oneshot::Sender<Result<Banned, OrderError>>),
    Lifted(Decision, oneshot::Sender<Result<Decision, OrderError>>),
}

impl Answer {
    fn decision(&self) -> &Decision {
        match self {
            Self::Banned(banned, _) => banned.decision(),
            Self::Lifted(decision, _) => decision,
        }
    }

    fn give(self, outcome: Result<(), OrderError>) {
        // Whoever asked may have gone away meanwhile.
        let _gone = match self {
            Self::Banned(banned, reply) => reply.send(outcome.map(|()| banned)).is_err(),
            Self::Lifted(decision, reply) => reply.send(outcome.map(|()| decision)).is_err(),
        };
    }
}

impl Task {
    /// Carries out what nobody waits for: kernel first, then the next group commit. `since` is when
    /// the request behind it was complete. Says which operators' bans the kernel had no room for: like a detector's,
    /// each holds at the doors until there is room, unless whoever asked gives it up.
    pub(super) fn enact(&mut self, since: Option<Instant>) -> Vec<(Source, DecisionId)> {
        let mut without_room = Vec::new();
        while let Some(effect) = self.ledger.next_effect().or_else(|| self.shaper.next_effect()) {
            match effect {
                Effect::Install { source, decision } => match self.install(source, &decision) {
                    Ok(()) => {
                        if let Some(since) = since {
                            let lag = clock::now().saturating_duration_since(since);
                            self.metrics.enforcement_lag.observe(lag.as_secs_f64());
                            self.ledger.note_enforced(source, lag);
                        }
                    }
                    Err(dataplane::Error::Full { .. }) if decision.origin == Origin::Operator => {
                        without_room.push((source, decision.id));
                    }
                    Err(_told) => {}
                },
                Effect::Remove { source } => {
                    let _counted = self.remove(source);
                }
                Effect::Shape { source, packets_per_sec } => self.shape(source, packets_per_sec),
                Effect::Record { decision, .. } => {
                    // With what the installation has added to it.
                    let latest = self.ledger.get(decision.source).filter(|held| held.id == decision.id);
                    let latest = latest.unwrap_or(decision);
                    tell(&latest);
                    let row = records::decision_row(&latest, clock::now(), clock::wall());
                    self.teller.change(Change::Made(Box::new(latest)));
                    self.store.append(Record::Decision(row));
                }
                Effect::Close { id, cause, .. } => {
                    told::ended(id, cause);
                    self.teller.change(Change::Ended(id, cause));
                    self.store.append(Record::Ended { id, cause, at_ms: records::millis(clock::wall()) });
                }
            }
        }
        self.publish_counts();
        without_room
    }

    /// Carries out what somebody waits for: the record is on disk before the kernel changes, and
    /// the kernel has changed before the answer. The task does not wait for the disk meanwhile.
    pub(super) fn enact_durably(&mut self, answer: Answer) {
        let mut rest: VecDeque<Effect> = std::iter::from_fn(|| self.ledger.next_effect()).collect();
        self.publish_counts();
        let mut durable = None;
        let mut closed = Vec::new();
        rest.retain(|effect| match effect {
            Effect::Record { decision, .. } => {
                tell(decision);
                let row = records::decision_row(decision, clock::now(), clock::wall());
                durable = Some(Record::Decision(row));
                false
            }
            Effect::Close { id, cause, durable: waits, .. } => {
                told::ended(*id, *cause);
                let record = Record::Ended { id: *id, cause: *cause, at_ms: records::millis(clock::wall()) };
                if *waits {
                    durable = Some(record);
                } else {
                    // What gives way stays open on disk until what takes its place is there.
                    closed.push(record);
                }
                false
            }
            Effect::Install { .. } | Effect::Remove { .. } | Effect::Shape { .. } => true,
        });
        let Some(record) = durable else {
            answer.give(Ok(()));
            return;
        };
        *self.waiting.entry(answer.decision().source).or_default() += 1;
        // Handed over here and not in the task that waits: what comes after it is written after it.
        let committed = self.store.commit(record);
        self.commits.spawn(async move { Committed { outcome: committed.await, rest, closed, answer } });
    }

    /// Goes on with an order whose record is on disk, or undoes it where the disk refused.
    pub(super) fn committed(&mut self, committed: Committed) {
        let Committed { outcome, rest, closed, answer } = committed;
        self.store_writes = outcome.is_ok();
        let source = answer.decision().source;
        if let Some(orders) = self.waiting.get_mut(&source) {
            *orders -= 1;
            if *orders == 0 {
                self.waiting.remove(&source);
            }
        }
        if let Err(error) = outcome {
            self.undo(&answer);
            answer.give(Err(error.into()));
            return;
        }
        let done = self.carry_out(rest);
        if let Err(full @ dataplane::Error::Full { .. }) = done {
            // What was to give way has not been closed, and stays.
            self.undo(&answer);
            let (id, cause) = (answer.decision().id, Ended::NoRoom);
            told::ended(id, cause);
            self.store.append(Record::Ended { id, cause, at_ms: records::millis(clock::wall()) });
            answer.give(Err(OrderError::NoRoom(full)));
            return;
        }
        if let Answer::Banned(banned, _) = &answer {
            self.replaced.remove(&banned.decision().id);
        }
        self.tell_of(&answer);
        for record in closed {
            if let Record::Ended { id, cause, .. } = &record {
                self.teller.change(Change::Ended(*id, *cause));
            }
            self.store.append(record);
        }
        answer.give(done.map_err(OrderError::from));
    }

    /// Takes the steps of an order that is on disk.
    fn carry_out(&mut self, rest: VecDeque<Effect>) -> Result<(), dataplane::Error> {
        let mut done: Result<(), dataplane::Error> = Ok(());
        for effect in rest {
            let step = match effect {
                // Meanwhile it may have been replaced or taken back; then another order sees to it.
                Effect::Install { source, decision } => {
                    let still_stands = self.ledger.get(source).is_some_and(|held| held.id == decision.id);
                    if still_stands { self.install(source, &decision) } else { Ok(()) }
                }
                // Another ban in the kernel may have come meanwhile; one at the doors only has not.
                Effect::Remove { source } => {
                    let held = self.ledger.get(source).is_some_and(|held| held.layer == Layer::Packet);
                    if held { Ok(()) } else { self.remove(source) }
                }
                Effect::Record { .. } | Effect::Close { .. } | Effect::Shape { .. } => Ok(()),
            };
            done = done.and(step);
        }
        done
    }

    fn tell_of(&self, answer: &Answer) {
        self.teller.change(match answer {
            Answer::Banned(banned, _) => Change::Made(Box::new(banned.decision().clone())),
            Answer::Lifted(decision, _) => Change::Ended(decision.id, Ended::Lifted),
        });
    }

    /// The disk refused, or the kernel has no room: the ledger goes back to what it was. The kernel is as it was, so
    /// the steps that the ledger asks for on the way back are not taken.
    fn undo(&mut self, answer: &Answer) {
        match answer {
            Answer::Banned(banned, _) => {
                let Decision { id, source, .. } = *banned.decision();
                let replaced = self.replaced.remove(&id).flatten();
                if self.ledger.get(source).is_some_and(|held| held.id == id) {
                    self.ledger.lift(source, clock::now());
                    if let Some(replaced) = replaced {
                        self.take_back(&replaced);
                    }
                } else if let Some(later) = self.replaced.values_mut().find(|was| is(was.as_ref(), id)) {
                    // Another ban took its place and waits for the disk in its turn: what this one
                    // had replaced is what that one goes back to.
                    *later = replaced;
                }
            }
            Answer::Lifted(decision, _) => {
                if self.ledger.get(decision.source).is_none() {
                    self.take_back(decision);
                }
            }
        }
        while self.ledger.next_effect().is_some() {}
        self.publish_counts();
    }

    /// Takes up again what was in force, unless it is protected by now.
    fn take_back(&mut self, decision: &Decision) {
        if self.ledger.never_ban().covers(decision.source).is_none() {
            self.ledger.restore(decision);
        }
    }

    fn install(&mut self, source: Source, decision: &Decision) -> Result<(), dataplane::Error> {
        let installed = self.put(source, decision);
        match &installed {
            Ok(()) => {}
            Err(full @ dataplane::Error::Full { map, .. }) => {
                self.metrics.map_full.with_label_values(&[map]).inc();
                self.tell_no_room(source, full);
            }
            Err(error @ dataplane::Error::Map { .. }) => {
                self.metrics.dataplane_failures.inc();
                tracing::error!(%source, decision = %decision.id, %error, "a ban did not reach the kernel");
            }
        }
        installed
    }

    fn remove(&mut self, source: Source) -> Result<(), dataplane::Error> {
        self.cut(source).inspect_err(|error| {
            self.metrics.dataplane_failures.inc();
            tracing::error!(%source, %error, "a ban could not be taken out of the kernel");
        })
    }

    /// Writes an entry, and leaves it to whoever asks to tell of a failure.
    pub(super) fn put(&mut self, source: Source, decision: &Decision) -> Result<(), dataplane::Error> {
        let ttl = decision.remaining(clock::now());
        let entry = Entry { decision: decision.id, origin: decision.origin, ttl };
        self.let_through.banned(source);
        self.enforcer.install(source, entry)
    }

    /// Deletes an entry, likewise.
    pub(super) fn cut(&mut self, source: Source) -> Result<(), dataplane::Error> {
        self.let_through.banned(source);
        self.enforcer.remove(source).map(|_was_there| ())
    }
}

fn tell(decision: &Decision) {
    told::decision(decision, decision.remaining(clock::now()).map(|ttl| ttl.as_secs()));
}

fn is(decision: Option<&Decision>, id: DecisionId) -> bool {
    decision.is_some_and(|decision| decision.id == id)
}
