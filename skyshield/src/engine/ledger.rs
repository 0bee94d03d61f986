//! The ledger: every ban in force, one a source, and the effects that keep the world in step.

mod answers;
mod deadlines;
mod numbers;
mod room;
mod slab;
mod sources;
mod texts;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::decision::{Decision, DecisionId, Ended, Layer, NewBan, Origin};
use super::effect::Effect;
use super::never_ban::NeverBan;
use super::source::Source;
use super::view::View;
pub use answers::{Banned, Brief, Rejected};
use deadlines::Deadlines;
use numbers::Numbers;
pub use room::{Capacity, Room};
use slab::{Place, Slab};
use sources::Sources;

/// Owns all bans. Effects wait in it until they are fetched.
#[derive(Debug)]
pub struct Ledger {
    slab: Slab,
    by_source: Sources,
    by_id: Numbers,
    deadlines: Deadlines,
    counts: [usize; Origin::ALL.len()],
    effects: VecDeque<Effect>,
    never_ban: Arc<NeverBan>,
    view: Arc<View>,
    next_id: u64,
    room: Room,
}

impl Ledger {
    /// An empty ledger with room for `capacity`, published in `view`.
    pub fn new(capacity: Capacity, view: Arc<View>) -> Self {
        Self {
            slab: Slab::default(),
            by_source: Sources::default(),
            by_id: Numbers::default(),
            deadlines: Deadlines::default(),
            counts: [0; Origin::ALL.len()],
            effects: VecDeque::new(),
            never_ban: Arc::default(),
            view,
            next_id: 1,
            room: Room::new(capacity),
        }
    }

    /// Takes up a ban that was in force before a restart, room or no room; it asks for no effect.
    pub fn restore(&mut self, decision: &Decision) {
        self.next_id = self.next_id.max(decision.id.0.saturating_add(1));
        self.put(decision);
    }

    /// Never gives out an id up to and including `id`.
    pub fn skip_ids_to(&mut self, id: DecisionId) {
        self.next_id = self.next_id.max(id.0.saturating_add(1));
    }

    /// A number that no other decision has or will have.
    pub fn number(&mut self) -> DecisionId {
        self.next_id += 1;
        DecisionId(self.next_id - 1)
    }

    /// Bans a source. A decision of higher authority is left alone, one of lower authority gives
    /// way; a detector's second ban lengthens the first, an operator's takes its place.
    pub fn ban(&mut self, new: NewBan, now: Instant) -> Result<Banned, Rejected> {
        self.check(&new)?;
        let durable = new.origin == Origin::Operator;
        let until = new.ttl.and_then(|ttl| now.checked_add(ttl));
        if let Some(standing) = self.get(new.source) {
            if standing.origin > new.origin {
                return Ok(Banned::Kept(standing));
            }
            if standing.origin == new.origin && !durable && standing.layer == new.layer {
                let longer = Decision { until: later(standing.until, until), ..standing };
                let longer = self.put(&longer);
                self.enact(&longer, durable);
                return Ok(Banned::Extended(longer));
            }
            self.room.check(new.source, new.layer, Some(standing.layer))?;
            self.give_way(&standing, new.layer, now);
        } else {
            self.room.check(new.source, new.layer, None)?;
        }
        let decision = self.decision(new, now);
        let decision = self.put(&decision);
        self.enact(&decision, durable);
        Ok(Banned::Made(decision))
    }

    /// Takes back what is in force against exactly `source`.
    pub fn lift(&mut self, source: Source, now: Instant) -> Option<Decision> {
        self.end(source, Ended::Lifted, now)
    }

    /// Ends the ban of `source`, which has come under protection.
    pub fn protect(&mut self, source: Source, now: Instant) -> Option<Decision> {
        self.end(source, Ended::Protected, now)
    }

    /// Ends the ban of `source`, which the kernel has no room for.
    pub fn give_up(&mut self, source: Source, now: Instant) -> Option<Decision> {
        self.end(source, Ended::NoRoom, now)
    }

    /// The ban that `new` asks for, not in force yet; none where one of higher authority stands.
    pub fn draft(&mut self, new: NewBan, now: Instant) -> Result<Option<Decision>, Rejected> {
        self.check(&new)?;
        if self.brief(new.source).is_some_and(|standing| standing.origin > new.origin) {
            return Ok(None);
        }
        Ok(Some(self.decision(new, now)))
    }

    /// Brings a drafted ban into force that is on disk already. Whoever has come under protection since is
    /// not banned, and what has a higher authority since is left alone: then the draft has ended, and why. Otherwise
    /// the number of what it has taken the place of.
    pub fn enforce(&mut self, draft: &Decision, now: Instant) -> Result<Option<DecisionId>, Ended> {
        let standing = self.get(draft.source);
        let layer = standing.as_ref().map(|standing| standing.layer);
        let is_outranked = standing.as_ref().is_some_and(|standing| standing.origin > draft.origin);
        let refused = if is_outranked {
            Some(Ended::Replaced)
        } else if self.never_ban.covers(draft.source).is_some() {
            Some(Ended::Protected)
        } else {
            self.room.check(draft.source, draft.layer, layer).err().map(|_full| Ended::NoRoom)
        };
        if let Some(cause) = refused {
            self.effects.push_back(Effect::Close { id: draft.id, cause, at: now, durable: false });
            return Err(cause);
        }
        if let Some(replaced) = &standing {
            self.give_way(replaced, draft.layer, now);
        }
        let decision = self.put(draft);
        if decision.layer == Layer::Packet {
            self.effects.push_back(Effect::Install { source: decision.source, decision });
        }
        Ok(standing.map(|replaced| replaced.id))
    }

    /// The source that ban `id` is against, while it is in force.
    pub fn source_of(&self, id: DecisionId) -> Option<Source> {
        self.by_id.get(id).and_then(|place| self.slab.source(place))
    }

    /// Sets whom no decision may cut off; bans that do are ended.
    pub fn set_never_ban(&mut self, never_ban: Arc<NeverBan>, now: Instant) {
        let before = std::mem::replace(&mut self.never_ban, Arc::clone(&never_ban));
        self.view.set_never_ban(never_ban);
        let is_new =
            |source: &Source| before.entries().binary_search_by(|(held, _)| held.cmp(source)).is_err();
        let new: Vec<_> = self.never_ban.sources().into_iter().filter(is_new).collect();
        let (hosts, prefixes): (Vec<_>, Vec<_>) = new.into_iter().partition(|source| source.is_host());
        let mut cut_off: Vec<_> = hosts.into_iter().filter(|&host| self.find(host).is_some()).collect();
        if !prefixes.is_empty() {
            let held = self.slab.places().filter_map(|place| self.slab.source(place));
            cut_off.extend(held.filter(|&source| prefixes.iter().any(|prefix| prefix.covers(source))));
        }
        for source in cut_off {
            self.end(source, Ended::Protected, now);
        }
    }

    /// Whom no decision may cut off.
    pub fn never_ban(&self) -> &Arc<NeverBan> {
        &self.never_ban
    }

    /// The ban in force against exactly `source`.
    pub fn get(&self, source: Source) -> Option<Decision> {
        self.find(source).and_then(|place| self.slab.get(place))
    }

    /// The same, without its words.
    pub fn brief(&self, source: Source) -> Option<Brief> {
        self.find(source).and_then(|place| self.slab.brief(place))
    }

    /// Every ban in force without its words, in no order.
    pub fn briefs(&self) -> impl Iterator<Item = (Source, Brief)> + '_ {
        self.slab.places().filter_map(|place| Some((self.slab.source(place)?, self.slab.brief(place)?)))
    }

    /// Notes how long after the request behind it a ban was in the kernel's map.
    pub fn note_enforced(&mut self, source: Source, after: Duration) {
        if let Some(place) = self.find(source) {
            self.slab.note_enforced(place, after);
        }
    }

    /// The bans in force with a number above `after`, in the order of their numbers.
    pub fn decisions_after(&self, after: Option<DecisionId>) -> impl Iterator<Item = Decision> + '_ {
        self.by_id.after(after).filter_map(|place| self.slab.get(place))
    }

    /// Every ban in force, in no order.
    pub fn decisions(&self) -> impl Iterator<Item = Decision> + '_ {
        self.slab.places().filter_map(|place| self.slab.get(place))
    }

    /// How many bans are in force.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// What there is room for, and how much of it is taken.
    pub fn room(&self) -> Room {
        self.room
    }

    /// How many of them `origin` decided.
    pub fn count_of(&self, origin: Origin) -> usize {
        self.counts[origin as usize - 1]
    }

    /// Whether none is in force.
    pub fn is_empty(&self) -> bool {
        self.slab.len() == 0
    }

    /// When [`Ledger::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().and_then(|place| self.slab.until(place))
    }

    /// Ends what is over at `now`. The kernel has ended it by itself; its entry is swept.
    pub fn handle_timeout(&mut self, now: Instant) {
        let near: Vec<_> = self.deadlines.up_to(self.slab.nanos_of(now)).collect();
        for place in near {
            if let Some(source) = self.slab.source(place)
                && self.slab.until(place).is_some_and(|until| until <= now)
            {
                self.end(source, Ended::Expired, now);
            }
        }
    }

    /// The next step the shell is to carry out.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn check(&self, new: &NewBan) -> Result<(), Rejected> {
        if let Some(why) = self.never_ban.covers(new.source) {
            return Err(Rejected::Protected { whom: new.source, why });
        }
        if new.source.is_too_wide() && !new.force {
            return Err(Rejected::TooWide(new.source));
        }
        Ok(())
    }

    fn decision(&mut self, new: NewBan, now: Instant) -> Decision {
        Decision {
            id: self.number(),
            source: new.source,
            origin: new.origin,
            layer: new.layer,
            reason: new.reason,
            comment: new.comment,
            until: new.ttl.and_then(|ttl| now.checked_add(ttl)),
            incident: new.incident,
            made_at: new.asked_at,
            enforced_after: None,
        }
    }

    fn give_way(&mut self, replaced: &Decision, to: Layer, now: Instant) {
        self.effects.push_back(Effect::Close {
            id: replaced.id,
            cause: Ended::Replaced,
            at: now,
            durable: false,
        });
        if replaced.layer == Layer::Packet && to == Layer::Request {
            self.effects.push_back(Effect::Remove { source: replaced.source });
        }
    }

    fn find(&self, source: Source) -> Option<Place> {
        self.by_source.find(source, &self.slab)
    }

    /// Brings a decision into force, in the place of another of its source; it as it is kept.
    fn put(&mut self, decision: &Decision) -> Decision {
        if let Some(old) = self.find(decision.source) {
            self.forget(old);
        }
        let place = self.slab.insert(decision);
        self.by_source.insert(decision.source, place, &self.slab);
        self.by_id.insert(decision.id, place);
        self.counts[decision.origin as usize - 1] += 1;
        self.room.take(decision.source, decision.layer);
        if let Some(until) = self.slab.until(place) {
            self.deadlines.insert(self.slab.nanos_of(until), place);
        }
        let kept = self.slab.get(place).unwrap_or_else(|| decision.clone());
        self.view.install(&kept);
        kept
    }

    fn enact(&mut self, decision: &Decision, durable: bool) {
        let record = Effect::Record { decision: decision.clone(), durable };
        let install = (decision.layer == Layer::Packet)
            .then(|| Effect::Install { source: decision.source, decision: decision.clone() });
        if durable {
            self.effects.push_back(record);
            self.effects.extend(install);
        } else {
            self.effects.extend(install);
            self.effects.push_back(record);
        }
    }

    fn end(&mut self, source: Source, cause: Ended, now: Instant) -> Option<Decision> {
        let place = self.find(source)?;
        let decision = self.slab.get(place)?;
        self.forget(place);
        self.view.remove(source);
        let durable = cause == Ended::Lifted;
        self.effects.push_back(Effect::Close { id: decision.id, cause, at: now, durable });
        if decision.layer == Layer::Packet {
            self.effects.push_back(Effect::Remove { source });
        }
        Some(decision)
    }

    fn forget(&mut self, place: Place) {
        let (Some(source), Some(brief)) = (self.slab.source(place), self.slab.brief(place)) else { return };
        self.by_source.remove(source, &self.slab);
        self.by_id.remove(brief.id);
        self.counts[brief.origin as usize - 1] -= 1;
        self.room.give_back(source, brief.layer);
        if let Some(until) = brief.until {
            self.deadlines.remove(self.slab.nanos_of(until), place);
        }
        self.slab.remove(place);
    }
}

/// The later of two ends, where `None` is never.
fn later(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.zip(other).map(|(one, other)| one.max(other))
}

#[cfg(test)]
mod tests;
