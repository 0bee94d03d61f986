//! Many decisions at once: all of them are checked, then all are kept in one transaction, then all are in
//! force; or none is.

use std::collections::{HashMap, HashSet};

use tokio::sync::oneshot;

use super::{OrderError, Task, allows, records, rulings};
use crate::clock;
use crate::engine::allow::{Allow, NewAllow};
use crate::engine::decision::{Decision, Ended, Layer, NewBan};
use crate::engine::ledger::{Rejected, Room};
use crate::engine::ruling::{NewRuling, Ruling};
use crate::engine::source::Source;
use crate::store::{self, Record};

/// Decisions of one import at the most.
pub const MAX_IMPORT: usize = 100_000;

/// One decision that is asked for with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A ban of an address or a prefix.
    Ban(NewBan),
    /// Anything that is ruled.
    Rule(NewRuling),
    /// An address, a prefix or a name that is let through.
    Allow(NewAllow),
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Decisions that came into force, or would have.
    pub made: usize,
    /// Those of them that hold at the doors only until the kernel has room: something held there before.
    pub waiting_for_room: usize,
    /// Those against whom one of more authority is in force, which was left alone.
    pub kept: usize,
    /// Those of whom somebody came under protection meanwhile; they are not in force.
    pub protected: usize,
    /// Those that the kernel turned out to have no room for; they are not in force.
    pub no_room: usize,
    /// What is wrong, by the place among what was asked for; then nothing was done.
    pub refused: Vec<(usize, String)>,
}

impl Imported {
    /// Counts one for what it has ended of, which was to come into force.
    fn refuse(&mut self, cause: Ended) {
        self.made = self.made.saturating_sub(1);
        match cause {
            Ended::Protected => self.protected += 1,
            Ended::NoRoom => self.no_room += 1,
            Ended::Replaced | Ended::Expired | Ended::Lifted => self.kept += 1,
        }
    }
}

/// What is asked for.
#[derive(Debug)]
pub struct Batch {
    /// The decisions.
    pub items: Vec<Item>,
    /// Only say what would come of it.
    pub is_dry_run: bool,
}

/// What goes into force once it is on disk.
#[derive(Debug)]
struct Drafts {
    bans: Vec<Decision>,
    rulings: Vec<Ruling>,
    allows: Vec<Allow>,
    /// What of the room they leave.
    room: Room,
    /// Whom they ban already.
    banned: HashMap<Source, Layer>,
}

impl Drafts {
    fn beside(room: Room) -> Self {
        Self { bans: Vec::new(), rulings: Vec::new(), allows: Vec::new(), room, banned: HashMap::new() }
    }

    /// Takes room for a ban, in the place of one at the layer of `standing`.
    fn take_room(&mut self, source: Source, layer: Layer, standing: Option<Layer>) -> Result<(), Rejected> {
        let standing = self.banned.get(&source).copied().or(standing);
        self.room.check(source, layer, standing)?;
        if let Some(standing) = standing {
            self.room.give_back(source, standing);
        }
        self.room.take(source, layer);
        self.banned.insert(source, layer);
        Ok(())
    }
}

/// An import whose records are on their way to the disk.
#[derive(Debug)]
pub(super) struct Committed {
    outcome: Result<(), store::Error>,
    drafts: Drafts,
    imported: Imported,
    reply: oneshot::Sender<Result<Imported, OrderError>>,
}

impl Task {
    pub(super) fn import(&mut self, batch: Batch, reply: oneshot::Sender<Result<Imported, OrderError>>) {
        let Batch { items, is_dry_run } = batch;
        let mut imported = Imported::default();
        let mut drafts = Drafts::beside(self.ledger.room());
        for (at, item) in items.into_iter().take(MAX_IMPORT).enumerate() {
            match self.draft(item, &mut drafts) {
                Ok(true) => imported.made += 1,
                Ok(false) => imported.kept += 1,
                Err(what) => imported.refused.push((at, what)),
            }
        }
        if is_dry_run || !imported.refused.is_empty() || imported.made == 0 {
            let _gone = reply.send(Ok(imported));
            return;
        }
        let (now, wall) = (clock::now(), clock::wall());
        let bans = drafts.bans.iter().map(|ban| Record::Decision(records::decision_row(ban, now, wall)));
        let rulings = drafts.rulings.iter().map(|ruling| Record::Ruling(rulings::row(ruling, now, wall)));
        let allows = drafts.allows.iter().map(|allow| Record::Allow(allows::row(allow, now, wall)));
        let record = Record::All(bans.chain(rulings).chain(allows).collect());
        let committed = self.store.commit(record);
        self.imports.spawn(async move { Committed { outcome: committed.await, drafts, imported, reply } });
    }

    /// Notes what `item` comes to; false where one of more authority stands.
    fn draft(&mut self, item: Item, drafts: &mut Drafts) -> Result<bool, String> {
        let now = clock::now();
        match item {
            Item::Ban(new) => {
                self.may_ban(&new).map_err(|refused| refused.to_string())?;
                let draft = self.ledger.draft(new, now).map_err(|refused| refused.to_string())?;
                let Some(draft) = draft else { return Ok(false) };
                let standing = self.ledger.brief(draft.source).map(|standing| standing.layer);
                let room = drafts.take_room(draft.source, draft.layer, standing);
                room.map_err(|full| full.to_string())?;
                drafts.bans.push(draft);
                Ok(true)
            }
            Item::Rule(new) => {
                let id = self.ledger.number();
                let ruling = self.docket.draft(new, id, now).map_err(|refused| refused.to_string())?;
                drafts.rulings.push(ruling);
                Ok(true)
            }
            Item::Allow(new) => {
                let allow = self.allows.draft(new, now).map_err(|refused| refused.to_string())?;
                drafts.allows.push(allow);
                Ok(true)
            }
        }
    }

    /// Brings into force what is on disk.
    pub(super) fn imported(&mut self, committed: Committed) {
        let Committed { outcome, drafts, mut imported, reply } = committed;
        self.store_writes = outcome.is_ok();
        if let Err(error) = outcome {
            let _gone = reply.send(Err(error.into()));
            return;
        }
        // Who is let through comes first, so that nobody of them is cut off even for a moment.
        let is_protecting = !drafts.allows.is_empty();
        drafts.allows.into_iter().for_each(|allow| self.allows.put(allow));
        let protected = if is_protecting { self.protect() } else { Ok(()) };
        for ruling in &drafts.rulings {
            self.bring_into_force(ruling);
        }
        self.publish_rulings();
        drafts.rulings.iter().for_each(|ruling| self.spare(ruling));
        // Meanwhile somebody may have come under protection, and others may have taken the room.
        let mut begun = HashSet::new();
        for ban in &drafts.bans {
            match self.ledger.enforce(ban, clock::now()) {
                Ok(replaced) => {
                    // What a line above has begun did not hold before.
                    if replaced.is_none_or(|id| begun.contains(&id)) {
                        begun.insert(ban.id);
                    }
                }
                Err(cause) => imported.refuse(cause),
            }
        }
        for (source, id) in self.enact(None) {
            let stands = self.ledger.brief(source).is_some_and(|held| held.id == id);
            if begun.contains(&id) {
                imported.refuse(Ended::NoRoom);
                if stands {
                    self.ledger.give_up(source, clock::now());
                }
            } else if stands {
                // In its place something held, which is closed: given up, nothing would.
                imported.waiting_for_room += 1;
            }
        }
        self.enact(None);
        let _gone = reply.send(protected.map(|()| imported).map_err(OrderError::from));
    }
}
