//! Exceptions: on disk before they are in force, and out of force before they are off the disk.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::oneshot;

use super::{OrderError, Task, records};
use crate::clock;
use crate::exceptions::{Exception, Held, Live, MAX_EXCEPTIONS, Set};
use crate::store::{ExceptionRow, Reader, Record};

/// The exceptions that the store kept and whose time is not over.
pub(super) fn kept(reader: &Reader, now: Instant, wall: SystemTime) -> rusqlite::Result<Set> {
    let rows = reader.exceptions(records::millis(wall))?;
    let held = rows.iter().filter_map(|row| {
        let exception = exception(row, now, wall);
        if exception.is_none() {
            tracing::warn!(exception = row.id, "a kept exception makes no sense to this release");
        }
        exception.map(|exception| Arc::new(Held::new(exception)))
    });
    Ok(Set::new(held))
}

fn exception(row: &ExceptionRow, now: Instant, wall: SystemTime) -> Option<Exception> {
    let until = match row.expires_at_ms {
        Some(expires) => {
            let left = records::moment(expires).duration_since(wall).unwrap_or_default();
            Some(now.checked_add(left)?)
        }
        None => None,
    };
    Some(Exception {
        id: row.id.clone(),
        scope: serde_json::from_str(&row.scope).ok()?,
        comment: row.comment.clone(),
        by: row.made_by.clone(),
        made_at: records::moment(row.made_at_ms),
        until,
    })
}

fn row(exception: &Exception, now: Instant, wall: SystemTime) -> ExceptionRow {
    let ends = exception.until.map(|until| wall.checked_add(until.saturating_duration_since(now)));
    ExceptionRow {
        id: exception.id.clone(),
        // A scope is plain strings; there is nothing in it that JSON cannot say.
        scope: serde_json::to_string(&exception.scope).unwrap_or_default(),
        comment: exception.comment.clone(),
        made_by: exception.by.clone(),
        made_at_ms: records::millis(exception.made_at),
        expires_at_ms: ends.map(|ends| ends.map_or(i64::MAX, records::millis)),
    }
}

impl Task {
    /// Keeps an exception on disk, and then puts it in force. The task does not wait for the disk.
    pub(super) fn except(
        &mut self,
        exception: Exception,
        reply: oneshot::Sender<Result<Arc<Held>, OrderError>>,
    ) {
        while self.excepting.try_join_next().is_some() {}
        if self.exceptions.load().len() >= MAX_EXCEPTIONS {
            let _gone = reply.send(Err(OrderError::TooManyExceptions));
            return;
        }
        let (store, live) = (self.store.clone(), Arc::clone(&self.exceptions));
        let record = Record::Exception(row(&exception, clock::now(), clock::wall()));
        self.excepting.spawn(async move {
            let outcome = store.commit(record).await.map_err(OrderError::from).map(|()| {
                let held = Arc::new(Held::new(exception));
                live.change(|set| Set::new(set.iter().cloned().chain([Arc::clone(&held)])));
                held
            });
            let _gone = reply.send(outcome);
        });
    }

    /// Takes an exception out of force and off the disk. Where the disk refuses it is back in force.
    pub(super) fn unexcept(&mut self, id: &str, reply: oneshot::Sender<Result<Arc<Held>, OrderError>>) {
        while self.excepting.try_join_next().is_some() {}
        let Some(held) = self.exceptions.load().iter().find(|held| held.exception.id == id).cloned() else {
            let _gone = reply.send(Err(OrderError::NoSuchException));
            return;
        };
        leave_out(&self.exceptions, &held);
        let (store, live) = (self.store.clone(), Arc::clone(&self.exceptions));
        self.excepting.spawn(async move {
            let outcome = store.commit(Record::ExceptionRemoved { id: held.exception.id.clone() }).await;
            if outcome.is_err() {
                live.change(|set| Set::new(set.iter().cloned().chain([Arc::clone(&held)])));
            }
            let _gone = reply.send(outcome.map(|()| held).map_err(OrderError::from));
        });
    }

    /// Forgets the exceptions whose time is over: no request has heeded them since.
    pub(super) fn forget_exceptions(&mut self) {
        let now = clock::now();
        let set = self.exceptions.load();
        for held in set.iter().filter(|held| !held.exception.holds(now)) {
            leave_out(&self.exceptions, held);
            self.store.append(Record::ExceptionRemoved { id: held.exception.id.clone() });
        }
    }
}

fn leave_out(live: &Live, held: &Held) {
    let id = &held.exception.id;
    live.change(|set| Set::new(set.iter().filter(|other| other.exception.id != *id).cloned()));
}
