//! The allow list: kept first, then in force, then answered. What the host protects by itself and what
//! the operator lets through make one never-ban set.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use skyshield_common::maps as names;
use tokio::sync::oneshot;

use super::{Metrics, OrderError, Task, records};
use crate::clock;
use crate::dataplane::{self, Enforcer};
use crate::engine::allow::{Allow, AllowId, AllowList, DnsName, NewAllow, Whom};
use crate::engine::never_ban::{NeverBan, Protection};
use crate::engine::source::Source;
use crate::store::{self, AllowRow, Reader, Record};

/// Which entry of the allow list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowTarget {
    /// The one with this number.
    Id(AllowId),
    /// The one for exactly this.
    Whom(Whom),
}

/// A change of the allow list on its way to the disk.
#[derive(Debug)]
pub(super) struct Change {
    outcome: Result<(), store::Error>,
    entry: Allow,
    is_removal: bool,
    reply: oneshot::Sender<Result<Allow, OrderError>>,
}

impl Task {
    pub(super) fn allow(&mut self, new: NewAllow, reply: oneshot::Sender<Result<Allow, OrderError>>) {
        match self.allows.draft(new, clock::now()) {
            Ok(entry) => {
                let row = row(&entry, clock::now(), clock::wall());
                self.change(Record::Allow(row), entry, false, reply);
            }
            Err(refused) => {
                let _gone = reply.send(Err(refused.into()));
            }
        }
    }

    pub(super) fn disallow(
        &mut self,
        target: &AllowTarget,
        reply: oneshot::Sender<Result<Allow, OrderError>>,
    ) {
        let found = match target {
            AllowTarget::Id(id) => self.allows.get(*id),
            AllowTarget::Whom(whom) => self.allows.find(whom),
        };
        match found.cloned() {
            Some(entry) => self.change(Record::AllowEnded { id: entry.id }, entry, true, reply),
            None => {
                let _gone = reply.send(Err(OrderError::NoSuchAllow));
            }
        }
    }

    fn change(
        &mut self,
        record: Record,
        entry: Allow,
        is_removal: bool,
        reply: oneshot::Sender<Result<Allow, OrderError>>,
    ) {
        let committed = self.store.commit(record);
        self.allow_changes
            .spawn(async move { Change { outcome: committed.await, entry, is_removal, reply } });
    }

    /// Goes on with a change that is on disk; one that the disk refused has changed nothing.
    pub(super) fn allow_changed(&mut self, change: Change) {
        let Change { outcome, entry, is_removal, reply } = change;
        self.store_writes = outcome.is_ok();
        let done = outcome.map_err(OrderError::from).and_then(|()| {
            if is_removal {
                self.allows.remove(entry.id);
            } else {
                self.allows.put(entry.clone());
            }
            self.protect().map_err(OrderError::from)
        });
        let _gone = reply.send(done.map(|()| entry));
    }

    /// Ends the entries whose time is over.
    pub(super) fn end_allows(&mut self) {
        let ended = self.allows.handle_timeout(clock::now());
        if ended.is_empty() {
            return;
        }
        for entry in ended {
            tracing::info!(whom = %entry.whom, comment = entry.comment, "an entry of the allow list has ended");
            self.store.append(Record::AllowEnded { id: entry.id });
        }
        let _told = self.protect();
    }

    /// Takes up what a name resolves to now.
    pub(super) fn resolved(&mut self, name: &DnsName, addresses: Vec<IpAddr>) {
        let changed = self.allows.resolved(name, addresses);
        if changed.is_empty() {
            return;
        }
        for entry in &changed {
            tracing::info!(whom = %entry.whom, addresses = ?entry.addresses, "a name on the allow list has new addresses");
            self.store.append(Record::Allow(row(entry, clock::now(), clock::wall())));
        }
        let _told = self.protect();
    }

    /// Takes up what the host protects by itself.
    pub(super) fn host_protects(&mut self, never_ban: Arc<NeverBan>) {
        self.host_protected = never_ban;
        let _told = self.protect();
    }

    /// The kernel's allow list first: whoever comes under protection is let through before anything else. What does not
    /// fit is left out and told, and is no failure: what matters more has reached the kernel.
    pub(super) fn protect(&mut self) -> Result<(), dataplane::Error> {
        let never_ban = together(&self.host_protected, &self.allows);
        let (sources, left_out) = fitting(&never_ban, self.enforcer.as_ref());
        let taken = self.enforcer.set_allowed(&self.let_through.beside(&sources)).or_else(|error| {
            if self.let_through.is_empty() {
                return Err(error);
            }
            // The never-ban set comes first; whoever keeps the places finds out that they have no room.
            self.let_through.give_way();
            self.enforcer.set_allowed(&sources)
        });
        let taken = taken.inspect_err(|error| {
            self.metrics.dataplane_failures.inc();
            tracing::error!(%error, "the never-ban set did not reach the kernel");
        });
        if taken.is_ok() {
            let before = std::mem::replace(&mut self.left_out, left_out);
            if left_out != before {
                tell_left_out(left_out, &self.metrics);
            }
        }
        self.ledger.set_never_ban(Arc::new(never_ban), clock::now());
        self.enact(None);
        taken
    }
}

/// The never-ban set that both make.
pub(super) fn together(host: &NeverBan, allows: &AllowList) -> NeverBan {
    let allowed = allows.sources().map(|source| (source, Protection::AllowList));
    NeverBan::new(host.entries().iter().copied().chain(allowed))
}

/// What of `never_ban` the kernel has room for, and how many it has none for.
pub(super) fn fitting(never_ban: &NeverBan, enforcer: &dyn Enforcer) -> (Vec<Source>, usize) {
    let fill = enforcer.fill();
    let room = [names::ALLOWED_V4, names::ALLOWED_V6].map(|map| {
        fill.iter().find(|fill| fill.map == map).map_or(usize::MAX, |fill| fill.capacity as usize)
    });
    never_ban.fitting(room)
}

/// Tells how many the kernel has no room for, which were more or fewer before.
pub(super) fn tell_left_out(left_out: usize, metrics: &Metrics) {
    if left_out == 0 {
        tracing::info!("the kernel knows again of all whom nothing is to cut off");
        return;
    }
    metrics.dataplane_failures.inc();
    tracing::error!(
        left_out,
        "the kernel does not know of all whom nothing is to cut off: raise dataplane.max_allowed"
    );
}

/// The allow list as it was kept.
pub(super) fn kept(reader: &Reader, now: Instant, wall: SystemTime) -> rusqlite::Result<AllowList> {
    let mut allows = AllowList::default();
    for row in reader.allows(records::millis(wall))? {
        let until = row.expires_at_ms.map(|expires| {
            now.checked_add(records::moment(expires).duration_since(wall).unwrap_or_default())
        });
        let (Ok(whom), None | Some(Some(_))) = (row.whom.parse(), until) else {
            tracing::warn!(whom = row.whom, "a kept entry of the allow list makes no sense to this release");
            continue;
        };
        allows.put(Allow {
            id: row.id,
            whom,
            comment: row.comment,
            by: row.by,
            made_at: records::moment(row.made_at_ms),
            until: until.flatten(),
            addresses: row.addresses.split_whitespace().filter_map(|address| address.parse().ok()).collect(),
        });
    }
    Ok(allows)
}

pub(super) fn row(entry: &Allow, now: Instant, wall: SystemTime) -> AllowRow {
    let addresses: Vec<_> = entry.addresses.iter().map(ToString::to_string).collect();
    AllowRow {
        id: entry.id,
        whom: entry.whom.to_string(),
        comment: entry.comment.clone(),
        by: entry.by.clone(),
        made_at_ms: records::millis(entry.made_at),
        expires_at_ms: entry
            .remaining(now)
            .map(|left| wall.checked_add(left).map_or(i64::MAX, records::millis)),
        addresses: addresses.join(" "),
    }
}
