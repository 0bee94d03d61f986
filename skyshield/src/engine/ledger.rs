//! The ledger: every decision in force, one a source, and the effects that keep the world in step.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::decision::{Decision, DecisionId, Ended, Layer, NewBan, Origin};
use super::effect::Effect;
use super::never_ban::{NeverBan, Protection};
use super::source::{Source, WIDEST_V4, WIDEST_V6};
use super::view::View;

/// Why a ban is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The never-ban set forbids it.
    #[error("{whom} is never banned: it is {why}")]
    Protected {
        /// Whom the ban was for.
        whom: Source,
        /// Why it is protected.
        why: Protection,
    },
    /// The prefix is a share of the whole internet.
    #[error(
        "{0} is wider than /{WIDEST_V4} (IPv4) or /{WIDEST_V6} (IPv6); ask again with force if you mean it"
    )]
    TooWide(Source),
    /// There is no room for another decision.
    #[error(
        "{capacity} decisions are in force and there is room for no more; lift some, or raise dataplane.max_bans"
    )]
    Full {
        /// How many there is room for.
        capacity: usize,
    },
}

/// What became of a ban that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Banned {
    /// It is in force.
    Made(Decision),
    /// One of the same authority was in force already; it now ends no earlier than asked.
    Extended(Decision),
    /// One of higher authority is in force and was left alone.
    Kept(Decision),
}

impl Banned {
    /// The decision that is in force now.
    pub fn decision(&self) -> &Decision {
        match self {
            Self::Made(decision) | Self::Extended(decision) | Self::Kept(decision) => decision,
        }
    }
}

/// Owns all decisions. Effects wait in it until they are fetched.
#[derive(Debug)]
pub struct Ledger {
    decisions: HashMap<Source, Decision>,
    by_id: BTreeMap<DecisionId, Source>,
    deadlines: BTreeSet<(Instant, Source)>,
    counts: [usize; Origin::ALL.len()],
    effects: VecDeque<Effect>,
    never_ban: Arc<NeverBan>,
    view: Arc<View>,
    next_id: u64,
    capacity: usize,
}

impl Ledger {
    /// An empty ledger with room for `capacity` decisions, published in `view`.
    pub fn new(capacity: usize, view: Arc<View>) -> Self {
        Self {
            decisions: HashMap::new(),
            by_id: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            counts: [0; Origin::ALL.len()],
            effects: VecDeque::new(),
            never_ban: Arc::default(),
            view,
            next_id: 1,
            capacity,
        }
    }

    /// Takes up a decision that was in force before a restart; it asks for no effect.
    pub fn restore(&mut self, decision: Decision) {
        self.next_id = self.next_id.max(decision.id.0.saturating_add(1));
        self.put(decision);
    }

    /// Never gives out an id up to and including `id`.
    pub fn skip_ids_to(&mut self, id: DecisionId) {
        self.next_id = self.next_id.max(id.0.saturating_add(1));
    }

    /// Bans a source. A decision of higher authority is left alone, one of lower authority gives
    /// way; a detector's second ban lengthens the first, an operator's takes its place.
    pub fn ban(&mut self, new: NewBan, now: Instant) -> Result<Banned, Rejected> {
        if let Some(why) = self.never_ban.covers(new.source) {
            return Err(Rejected::Protected { whom: new.source, why });
        }
        if new.source.is_too_wide() && !new.force {
            return Err(Rejected::TooWide(new.source));
        }
        let durable = new.origin == Origin::Operator;
        let until = new.ttl.and_then(|ttl| now.checked_add(ttl));
        if let Some(standing) = self.decisions.get(&new.source) {
            if standing.origin > new.origin {
                return Ok(Banned::Kept(standing.clone()));
            }
            if standing.origin == new.origin && !durable && standing.layer == new.layer {
                let mut longer = standing.clone();
                longer.until = later(standing.until, until);
                self.put(longer.clone());
                self.enact(&longer, durable);
                return Ok(Banned::Extended(longer));
            }
            let replaced = standing.clone();
            self.effects.push_back(Effect::Close {
                id: replaced.id,
                cause: Ended::Replaced,
                at: now,
                durable: false,
            });
            if replaced.layer == Layer::Packet && new.layer == Layer::Request {
                self.effects.push_back(Effect::Remove { source: new.source });
            }
        } else if self.decisions.len() >= self.capacity {
            return Err(Rejected::Full { capacity: self.capacity });
        }
        let decision = Decision {
            id: DecisionId(self.next_id),
            source: new.source,
            origin: new.origin,
            layer: new.layer,
            reason: new.reason,
            until,
            incident: new.incident,
            made_at: new.asked_at,
            enforced_after: None,
        };
        self.next_id += 1;
        self.put(decision.clone());
        self.enact(&decision, durable);
        Ok(Banned::Made(decision))
    }

    /// Takes back what is in force against exactly `source`.
    pub fn lift(&mut self, source: Source, now: Instant) -> Option<Decision> {
        self.end(source, Ended::Lifted, now)
    }

    /// The source that decision `id` is against, while it is in force.
    pub fn source_of(&self, id: DecisionId) -> Option<Source> {
        self.by_id.get(&id).copied()
    }

    /// Sets whom no decision may cut off; decisions that do are ended.
    pub fn set_never_ban(&mut self, never_ban: Arc<NeverBan>, now: Instant) {
        self.never_ban = Arc::clone(&never_ban);
        self.view.set_never_ban(never_ban);
        let cut_off: Vec<_> = self
            .decisions
            .keys()
            .copied()
            .filter(|&source| self.never_ban.covers(source).is_some())
            .collect();
        for source in cut_off {
            self.end(source, Ended::Protected, now);
        }
    }

    /// Whom no decision may cut off.
    pub fn never_ban(&self) -> &Arc<NeverBan> {
        &self.never_ban
    }

    /// The decision in force against exactly `source`.
    pub fn get(&self, source: Source) -> Option<&Decision> {
        self.decisions.get(&source)
    }

    /// Notes how long after the request behind it a ban was in the kernel's map.
    pub fn note_enforced(&mut self, source: Source, after: Duration) {
        if let Some(decision) = self.decisions.get_mut(&source) {
            decision.enforced_after.get_or_insert(after);
        }
    }

    /// The decisions in force with a number above `after`, in the order of their numbers.
    pub fn decisions_after(&self, after: Option<DecisionId>) -> impl Iterator<Item = &Decision> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_id.range((start, Bound::Unbounded)).filter_map(|(_, source)| self.decisions.get(source))
    }

    /// Every decision in force, in no order.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.values()
    }

    /// How many decisions are in force.
    pub fn len(&self) -> usize {
        self.decisions.len()
    }

    /// How many of them `origin` decided.
    pub fn count_of(&self, origin: Origin) -> usize {
        self.counts[origin as usize - 1]
    }

    /// Whether none is in force.
    pub fn is_empty(&self) -> bool {
        self.decisions.is_empty()
    }

    /// When [`Ledger::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// Ends what is over at `now`. The kernel has ended it by itself; its entry is swept.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(deadline, source)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            self.end(source, Ended::Expired, now);
        }
    }

    /// The next step the shell is to carry out.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn put(&mut self, decision: Decision) {
        self.view.install(&decision);
        let Decision { id, source, origin, until, .. } = decision;
        if let Some(old) = self.decisions.insert(source, decision) {
            self.forget(&old);
        }
        self.by_id.insert(id, source);
        self.counts[origin as usize - 1] += 1;
        if let Some(until) = until {
            self.deadlines.insert((until, source));
        }
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
        let decision = self.decisions.remove(&source)?;
        self.forget(&decision);
        self.view.remove(source);
        let durable = cause == Ended::Lifted;
        self.effects.push_back(Effect::Close { id: decision.id, cause, at: now, durable });
        if decision.layer == Layer::Packet {
            self.effects.push_back(Effect::Remove { source });
        }
        Some(decision)
    }

    fn forget(&mut self, decision: &Decision) {
        self.by_id.remove(&decision.id);
        self.counts[decision.origin as usize - 1] -= 1;
        if let Some(until) = decision.until {
            self.deadlines.remove(&(until, decision.source));
        }
    }
}

/// The later of two ends, where `None` is never.
fn later(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.zip(other).map(|(one, other)| one.max(other))
}

#[cfg(test)]
mod tests;
