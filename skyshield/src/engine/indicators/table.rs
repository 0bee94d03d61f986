//! All indicators, within a bound for each kind, so that a flood of one pushes out none of another.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::SystemTime;

use super::indicator::{Indicator, Kind};
use super::suspects::Suspects;

/// Indicators of a kind at the most; beyond it the one goes that was seen longest ago.
const ROOM: usize = 20_000;
/// Below this confidence an indicator is forgotten.
const FORGOTTEN: f64 = 0.01;
/// Values are no longer than this, in characters.
const MAX_VALUE: usize = 256;

/// Which indicators.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Of this kind.
    pub kind: Option<Kind>,
    /// At least this sure.
    pub min_confidence: f64,
    /// Behind the one with this key.
    pub after: Option<(Kind, String)>,
    /// So many at the most.
    pub limit: usize,
}

/// The indicators.
#[derive(Debug, Default)]
pub struct Table {
    all: BTreeMap<(Kind, String), Indicator>,
    by_age: BTreeSet<(Kind, SystemTime, String)>,
    counts: BTreeMap<Kind, usize>,
    changed: BTreeSet<(Kind, String)>,
    evicted: u64,
}

impl Table {
    /// Notes a sighting; whether it is the first.
    pub fn note(
        &mut self,
        kind: Kind,
        value: String,
        weight: f64,
        threats: &[String],
        incident: &str,
        at: SystemTime,
    ) -> bool {
        let value =
            if value.chars().count() > MAX_VALUE { value.chars().take(MAX_VALUE).collect() } else { value };
        let key = (kind, value);
        self.changed.insert(key.clone());
        if let Some(known) = self.all.get_mut(&key) {
            self.by_age.remove(&(kind, known.last_seen, key.1.clone()));
            known.seen(weight, threats, incident, at);
            self.by_age.insert((kind, known.last_seen, key.1));
            return false;
        }
        let mut indicator = Indicator::new(kind, key.1, at);
        indicator.seen(weight, threats, incident, at);
        self.put(indicator);
        true
    }

    /// Takes up an indicator that was kept.
    pub fn recall(&mut self, indicator: Indicator) {
        let key = (indicator.kind, indicator.value.clone());
        if indicator.is_sound() && !self.all.contains_key(&key) {
            self.put(indicator);
        }
    }

    fn put(&mut self, indicator: Indicator) {
        let (kind, value) = (indicator.kind, indicator.value.clone());
        self.by_age.insert((kind, indicator.last_seen, value.clone()));
        if self.all.insert((kind, value), indicator).is_none() {
            let count = self.counts.entry(kind).or_default();
            *count += 1;
            if *count > ROOM {
                self.evict(kind);
            }
        }
    }

    fn evict(&mut self, kind: Kind) {
        let oldest = self.by_age.range((kind, SystemTime::UNIX_EPOCH, String::new())..).next().cloned();
        if let Some((_, _, value)) = oldest.filter(|(of, ..)| *of == kind) {
            self.remove(&(kind, value));
            self.evicted += 1;
        }
    }

    fn remove(&mut self, key: &(Kind, String)) {
        if let Some(gone) = self.all.remove(key) {
            self.by_age.remove(&(key.0, gone.last_seen, key.1.clone()));
            if let Some(count) = self.counts.get_mut(&key.0) {
                *count = count.saturating_sub(1);
            }
            // Whoever keeps them is told that it is gone.
            self.changed.insert(key.clone());
        }
    }

    /// Forgets what has faded at `at`.
    pub fn forget(&mut self, at: SystemTime) {
        let faded: Vec<_> = self
            .all
            .iter()
            .filter(|(_, indicator)| indicator.confidence(at) < FORGOTTEN)
            .map(|(key, _)| key.clone())
            .collect();
        for key in faded {
            self.remove(&key);
        }
    }

    /// Forgets those whose value `names` somebody; how many.
    pub fn erase(&mut self, names: impl Fn(&str) -> bool) -> usize {
        let named: Vec<_> = self.all.keys().filter(|(_, value)| names(value)).cloned().collect();
        for key in &named {
            self.remove(key);
        }
        named.len()
    }

    /// The indicators that are wanted, in the order of their keys.
    pub fn page(&self, wanted: &Wanted, at: SystemTime) -> Vec<Indicator> {
        let from = wanted.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        self.all
            .range((from, Bound::Unbounded))
            .filter(|((kind, _), _)| wanted.kind.is_none_or(|wanted| wanted == *kind))
            .filter(|(_, indicator)| indicator.confidence(at) >= wanted.min_confidence)
            .take(wanted.limit)
            .map(|(_, indicator)| indicator.clone())
            .collect()
    }

    /// The indicator of this kind and value.
    pub fn get(&self, kind: Kind, value: &str) -> Option<&Indicator> {
        self.all.get(&(kind, value.to_owned()))
    }

    /// The sources that they speak against at `at`.
    pub fn suspects(&self, at: SystemTime) -> Suspects {
        let of = |kind| self.all.range((kind, String::new())..).take_while(move |((of, _), _)| *of == kind);
        let all = of(Kind::Address).chain(of(Kind::Prefix));
        Suspects::new(all.map(|(_, indicator)| indicator), at)
    }

    /// What has changed since the last call, at the most `limit`; a value that is none is gone.
    pub fn take_changed(&mut self, limit: usize) -> Vec<((Kind, String), Option<Indicator>)> {
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(key) = self.changed.pop_first()
        {
            let now = self.all.get(&key).cloned();
            taken.push((key, now));
        }
        taken
    }

    /// How many there are of each kind.
    pub fn counts(&self) -> impl Iterator<Item = (Kind, usize)> + '_ {
        Kind::ALL.into_iter().map(|kind| (kind, self.counts.get(&kind).copied().unwrap_or_default()))
    }

    /// How many were pushed out.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    fn noted(table: &mut Table, kind: Kind, value: &str, at: SystemTime) -> bool {
        table.note(kind, value.to_owned(), 0.5, &["sqli".to_owned()], "incident", at)
    }

    #[test]
    fn a_flood_of_one_kind_pushes_out_the_oldest_of_that_kind_alone() {
        let (mut table, now) = (Table::default(), clock::wall());
        assert!(noted(&mut table, Kind::Payload, "abc", now));
        assert!(!noted(&mut table, Kind::Payload, "abc", now));
        for n in 0..u64::try_from(ROOM).unwrap() + 5 {
            noted(&mut table, Kind::Address, &format!("address {n}"), now + Duration::from_millis(n));
        }
        let counts: Vec<_> = table.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [(Kind::Address, ROOM), (Kind::Payload, 1)]);
        assert_eq!(table.evicted(), 5);
        assert!(
            table.get(Kind::Address, "address 4").is_none()
                && table.get(Kind::Address, "address 5").is_some()
        );
        assert_eq!((table.by_age.len(), table.all.len()), (ROOM + 1, ROOM + 1));
    }

    #[test]
    fn pages_follow_one_another_and_what_has_faded_is_left_out_and_forgotten() {
        let (mut table, now) = (Table::default(), clock::wall());
        for n in 0..10 {
            noted(&mut table, Kind::Address, &format!("45.0.0.{n}"), now);
        }
        noted(&mut table, Kind::Payload, "abc", now);
        let mut wanted = Wanted { limit: 4, ..Wanted::default() };
        let mut seen = Vec::new();
        loop {
            let page = table.page(&wanted, now);
            let Some(last) = page.last() else { break };
            wanted.after = Some((last.kind, last.value.clone()));
            seen.extend(page.into_iter().map(|indicator| indicator.value));
        }
        assert_eq!(seen.len(), 11);
        let later = now + Kind::Address.half_life() * 6;
        let sure = Wanted { min_confidence: 0.1, limit: 100, ..Wanted::default() };
        assert_eq!(table.page(&sure, later).len(), 1);
        assert_eq!(table.take_changed(100).len(), 11);
        table.forget(later);
        let gone = table.take_changed(100);
        assert!(gone.len() == 10 && gone.iter().all(|(_, now)| now.is_none()));
    }
}
