//! Rulings: kept first, then in force, then answered.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::oneshot;

use super::{OrderError, Task, records};
use crate::clock;
use crate::engine::decision::{DecisionId, Ended, Origin};
use crate::engine::ruling::{Docket, Kind, NewRuling, Ruling, Subject};
use crate::engine::source::Source;
use crate::store::{self, Reader, Record, RulingRow};

/// Sources that one look lets go; what is beyond it the next ban of theirs does not bring back.
const MOST_SPARED: usize = 100_000;

/// Which ruling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulingTarget {
    /// The one with this number.
    Id(DecisionId),
    /// The one of this kind about exactly this subject; of any kind, where none is named.
    About(Option<Kind>, Subject),
}

/// A change of the rulings on its way to the disk.
#[derive(Debug)]
pub(super) struct Change {
    outcome: Result<(), store::Error>,
    ruling: Arc<Ruling>,
    is_end: bool,
    reply: oneshot::Sender<Result<Arc<Ruling>, OrderError>>,
}

impl Task {
    pub(super) fn rule(&mut self, new: NewRuling, reply: oneshot::Sender<Result<Arc<Ruling>, OrderError>>) {
        let id = self.ledger.number();
        match self.docket.draft(new, id, clock::now()) {
            Ok(ruling) => {
                let record = Record::Ruling(row(&ruling, clock::now(), clock::wall()));
                self.change_ruling(record, Arc::new(ruling), false, reply);
            }
            Err(refused) => {
                let _gone = reply.send(Err(refused.into()));
            }
        }
    }

    pub(super) fn overrule(
        &mut self,
        target: &RulingTarget,
        reply: oneshot::Sender<Result<Arc<Ruling>, OrderError>>,
    ) {
        let found = match target {
            RulingTarget::Id(id) => self.docket.get(*id),
            RulingTarget::About(Some(kind), subject) => self.docket.find(*kind, subject),
            RulingTarget::About(None, subject) => {
                Kind::ALL.into_iter().find_map(|kind| self.docket.find(kind, subject))
            }
        };
        match found.cloned() {
            Some(ruling) => {
                let at_ms = records::millis(clock::wall());
                let record = Record::RulingEnded { id: ruling.id, cause: Ended::Lifted, at_ms };
                self.change_ruling(record, ruling, true, reply);
            }
            None => {
                let _gone = reply.send(Err(OrderError::NotInForce));
            }
        }
    }

    fn change_ruling(
        &mut self,
        record: Record,
        ruling: Arc<Ruling>,
        is_end: bool,
        reply: oneshot::Sender<Result<Arc<Ruling>, OrderError>>,
    ) {
        let committed = self.store.commit(record);
        self.ruling_changes.spawn(async move { Change { outcome: committed.await, ruling, is_end, reply } });
    }

    /// Goes on with a change that is on disk; one that the disk refused has changed nothing.
    pub(super) fn ruling_changed(&mut self, change: Change) {
        let Change { outcome, ruling, is_end, reply } = change;
        self.store_writes = outcome.is_ok();
        let done = outcome.map_err(OrderError::from).map(|()| {
            if is_end {
                self.docket.remove(ruling.id);
                self.publish_rulings();
            } else {
                self.bring_into_force(&ruling);
                self.publish_rulings();
                self.spare(&ruling);
            }
        });
        let _gone = reply.send(done.map(|()| ruling));
    }

    /// Brings into force what is on disk already; the doors see it once it is published.
    pub(super) fn bring_into_force(&mut self, ruling: &Ruling) {
        if let Some(replaced) = self.docket.put(ruling.clone()) {
            let at_ms = records::millis(clock::wall());
            self.store.append(Record::RulingEnded { id: replaced.id, cause: Ended::Replaced, at_ms });
        }
    }

    /// Ends the rulings whose time is over.
    pub(super) fn end_rulings(&mut self) {
        let ended = self.docket.handle_timeout(clock::now());
        if ended.is_empty() {
            return;
        }
        for ruling in ended {
            let at_ms = records::millis(clock::wall());
            self.store.append(Record::RulingEnded { id: ruling.id, cause: Ended::Expired, at_ms });
        }
        self.publish_rulings();
    }

    pub(super) fn publish_rulings(&mut self) {
        self.view.set_book(self.docket.book());
        self.let_through.ruled(&self.docket);
        for kind in Kind::ALL {
            let count = self.docket.after(None).filter(|ruling| ruling.kind == kind).count();
            let gauge = self.metrics.watched.rulings.with_label_values(&[kind.name()]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Looks for bans of addresses whose place is let through from now on, off this task.
    pub(super) fn spare(&mut self, ruling: &Ruling) {
        if ruling.kind != Kind::Allow || !matches!(ruling.subject, Subject::Asn(_) | Subject::Country(_)) {
            return;
        }
        let view = Arc::clone(&self.view);
        self.spared.spawn_blocking(move || {
            let (mut spared, now) = (Vec::new(), clock::now());
            view.each_held(|source, _| {
                if source.is_host() && spared.len() < MOST_SPARED && view.lets_through(source.address(), now)
                {
                    spared.push(source);
                }
            });
            spared
        });
    }

    /// Ends the bans of `sources`, which are let through.
    pub(super) fn let_go(&mut self, sources: Vec<Source>) {
        for source in sources {
            // Meanwhile the ruling may be over.
            if self.view.lets_through(source.address(), clock::now()) {
                self.ledger.protect(source, clock::now());
            }
        }
        self.enact(None);
    }
}

/// The rulings as they were kept.
pub(super) fn kept(reader: &Reader, now: Instant, wall: SystemTime) -> rusqlite::Result<Docket> {
    let mut docket = Docket::default();
    for row in reader.rulings(records::millis(wall))? {
        if let Some(ruling) = ruling(&row, now, wall) {
            docket.put(ruling);
        } else {
            tracing::warn!(decision = %row.id, subject = row.subject, "a kept ruling makes no sense to this release");
        }
    }
    Ok(docket)
}

fn ruling(row: &RulingRow, now: Instant, wall: SystemTime) -> Option<Ruling> {
    let until = match row.expires_at_ms {
        Some(expires) => {
            Some(now.checked_add(records::moment(expires).duration_since(wall).unwrap_or_default())?)
        }
        None => None,
    };
    Some(Ruling {
        id: row.id,
        kind: Kind::from_name(&row.kind)?,
        subject: row.subject.parse().ok()?,
        origin: Origin::from_name(&row.origin)?,
        reason: row.reason.clone(),
        comment: (!row.comment.is_empty()).then(|| row.comment.as_str().into()),
        requests_per_min: row.requests_per_min,
        made_at: records::moment(row.made_at_ms),
        until,
    })
}

/// `ruling` as it is kept, where it is `now` and `wall`.
pub(super) fn row(ruling: &Ruling, now: Instant, wall: SystemTime) -> RulingRow {
    RulingRow {
        id: ruling.id,
        kind: ruling.kind.name().to_owned(),
        subject: ruling.subject.to_string(),
        origin: ruling.origin.name().to_owned(),
        reason: ruling.reason.clone(),
        comment: ruling.comment.as_deref().unwrap_or_default().to_owned(),
        requests_per_min: ruling.requests_per_min,
        made_at_ms: records::millis(ruling.made_at),
        expires_at_ms: ruling
            .remaining(now)
            .map(|left| wall.checked_add(left).map_or(i64::MAX, records::millis)),
    }
}
