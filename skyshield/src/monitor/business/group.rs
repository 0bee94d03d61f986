//! What several batches add together, and which of them were counted before.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::batch::{Adds, Batch, Event};
use super::config::Config;
use super::sketch::Sketch;
use super::{DAY, HOUR, begin};
use crate::store::{BatchKey, Kept, Reader, SketchRow, TotalRow};

/// Keys that are remembered; beyond it the oldest go.
const MAX_KEYS: usize = 200_000;
/// Sketches that are kept at hand; the others are read again.
const MAX_SKETCHES: usize = 64;

/// Kind, length of the step, its beginning.
type SketchKey = (usize, i64, i64);
/// Step, its beginning, kind, currency.
type TotalKey = (i64, i64, usize, usize);

/// What is at hand of what was counted.
#[derive(Debug)]
pub(super) struct Memory {
    reader: Reader,
    keys: HashMap<[u8; 16], ([u8; 16], u32)>,
    order: VecDeque<[u8; 16]>,
    sketches: BTreeMap<SketchKey, Sketch>,
}

/// What is to be counted at once.
#[derive(Debug, Default)]
pub(super) struct Group {
    keys: Vec<BatchKey>,
    totals: BTreeMap<TotalKey, (i64, i64)>,
    sketches: BTreeMap<SketchKey, Sketch>,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is counted with the group.
    New,
    /// The same was counted before, or is in this group.
    Repeated(u32),
    /// Something else came under its key.
    Conflict,
}

impl Memory {
    /// What is kept, as far as it is needed at hand.
    pub(super) fn load(reader: Reader) -> rusqlite::Result<Self> {
        let mut memory =
            Self { reader, keys: HashMap::new(), order: VecDeque::new(), sketches: BTreeMap::new() };
        let mut kept = memory.reader.business_batches()?;
        kept.reverse();
        for key in &kept {
            memory.remember(key);
        }
        Ok(memory)
    }

    fn remember(&mut self, key: &BatchKey) {
        self.keys.insert(key.key, (key.digest, key.events));
        self.order.push_back(key.key);
        if self.order.len() > MAX_KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }

    /// Adds `batch` to `group`, unless it was counted before. May read from the disk.
    pub(super) fn take(
        &mut self,
        group: &mut Group,
        batch: &Batch,
        config: &Config,
        now_ms: i64,
    ) -> rusqlite::Result<Taken> {
        let in_group = group.keys.iter().find(|key| key.key == batch.key).map(|key| (key.digest, key.events));
        if let Some((digest, events)) = self.keys.get(&batch.key).copied().or(in_group) {
            return Ok(if digest == batch.digest { Taken::Repeated(events) } else { Taken::Conflict });
        }
        self.prepare(&batch.events, config)?;
        for event in &batch.events {
            self.add(group, event);
        }
        let events = u32::try_from(batch.events.len()).unwrap_or(u32::MAX);
        group.keys.push(BatchKey { key: batch.key, digest: batch.digest, at_ms: now_ms, events });
        Ok(Taken::New)
    }

    /// Adds an event to `group`; what it goes into is at hand ([`Self::prepare`]).
    pub(super) fn add(&self, group: &mut Group, event: &Event) {
        let (currency, count, amount) = match event.adds {
            Adds::Count(count) => (0, i64::from(count), 0),
            Adds::Amount(currency, amount) => (currency, 1, amount),
            Adds::User(_) => (0, 1, 0),
        };
        for step in [60, HOUR] {
            let total = group.totals.entry((step, begin(event.at, step), event.kind, currency)).or_default();
            *total = (total.0.saturating_add(count), total.1.saturating_add(amount));
        }
        let Adds::User(user) = event.adds else { return };
        for step in [HOUR, DAY] {
            let key = (event.kind, step, begin(event.at, step));
            let at_hand = || self.sketches.get(&key).cloned().unwrap_or_default();
            group.sketches.entry(key).or_insert_with(at_hand).add(user);
        }
    }

    /// Puts the sketches at hand that events of `at` go into. Reads from the disk what is not there.
    pub(super) fn prepare(&mut self, events: &[Event], config: &Config) -> rusqlite::Result<()> {
        for event in events.iter().filter(|event| matches!(event.adds, Adds::User(_))) {
            for step in [HOUR, DAY] {
                let key = (event.kind, step, begin(event.at, step));
                if self.sketches.contains_key(&key) {
                    continue;
                }
                let Some(kind) = config.kinds.get(event.kind) else { continue };
                let kept = self.reader.business_sketch(&kind.name, step, key.2)?;
                let sketch = kept.map_or_else(Sketch::default, |bytes| Sketch::from_bytes(&bytes));
                self.sketches.insert(key, sketch);
            }
        }
        Ok(())
    }

    /// Takes over a group that is on the disk.
    pub(super) fn commit(&mut self, group: Group) {
        for key in &group.keys {
            self.remember(key);
        }
        self.sketches.extend(group.sketches);
        while self.sketches.len() > MAX_SKETCHES {
            // Those of the oldest steps are needed least.
            let Some(oldest) = self.sketches.keys().min_by_key(|(_, _, at)| *at).copied() else { break };
            self.sketches.remove(&oldest);
        }
    }

    /// How many users of `kind` there were in the step of `length` that `now` lies in, as far as known here.
    pub(super) fn users(&self, kind: usize, length: i64, now: i64) -> f64 {
        self.sketches.get(&(kind, length, begin(now, length))).map_or(0.0, Sketch::estimate)
    }
}

impl Group {
    /// Whether there is nothing to count.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.totals.is_empty()
    }

    /// What it adds to the hours: kind, currency, beginning, count, amount.
    pub(super) fn hours(&self) -> impl Iterator<Item = (usize, usize, i64, i64, i64)> {
        let hours = self.totals.iter().filter(|((step, ..), _)| *step == HOUR);
        hours.map(|(&(_, at, kind, currency), &(count, sum))| (kind, currency, at, count, sum))
    }

    /// As it is kept.
    pub(super) fn to_kept(&self, config: &Config) -> Kept {
        let name = |kind: usize| config.kinds.get(kind).map(|kind| kind.name.clone()).unwrap_or_default();
        let code = |kind: usize, at: usize| {
            let kind = config.kinds.get(kind);
            kind.and_then(|kind| kind.currencies.get(at)).cloned().unwrap_or_default()
        };
        let totals = self.totals.iter().map(|(&(step, at, kind, currency), &(count, sum))| TotalRow {
            kind: name(kind),
            currency: code(kind, currency),
            step,
            at,
            count,
            sum,
        });
        let sketches = self.sketches.iter().map(|(&(kind, step, at), sketch)| SketchRow {
            kind: name(kind),
            step,
            at,
            registers: sketch.to_bytes(),
        });
        Kept::Business { keys: self.keys.clone(), totals: totals.collect(), sketches: sketches.collect() }
    }
}
