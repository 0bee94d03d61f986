//! Many decisions at once: all of them are checked, then all are kept in one transaction, then all are in
//! force; or none is.

use tokio::sync::oneshot;

use super::{OrderError, Task, allows, records, rulings};
use crate::clock;
use crate::engine::allow::{Allow, NewAllow};
use crate::engine::decision::{Decision, NewBan};
use crate::engine::ruling::{NewRuling, Ruling};
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
    /// Those that were in force already, by more authority, and were left alone.
    pub kept: usize,
    /// What is wrong, by the place among what was asked for; then nothing was done.
    pub refused: Vec<(usize, String)>,
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
#[derive(Debug, Default)]
struct Drafts {
    bans: Vec<Decision>,
    rulings: Vec<Ruling>,
    allows: Vec<Allow>,
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
        let mut drafts = Drafts::default();
        for (at, item) in items.into_iter().take(MAX_IMPORT).enumerate() {
            match self.draft(item, &mut drafts) {
                Ok(true) => imported.made += 1,
                Ok(false) => imported.kept += 1,
                Err(what) => imported.refused.push((at, what)),
            }
        }
        let room = self.room();
        if imported.refused.is_empty() && drafts.bans.len() > room {
            let what = format!("{} bans, and there is room for {room}", drafts.bans.len());
            imported.refused.push((room, what));
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
                let is_made = draft.is_some();
                drafts.bans.extend(draft);
                Ok(is_made)
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
        let Committed { outcome, drafts, imported, reply } = committed;
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
        for ban in &drafts.bans {
            self.ledger.enforce(ban, clock::now());
        }
        self.enact(None);
        let _gone = reply.send(protected.map(|()| imported).map_err(OrderError::from));
    }

    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.ledger.len())
    }
}
