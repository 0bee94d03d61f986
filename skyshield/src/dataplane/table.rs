//! The bans with all their bookkeeping, over maps that only put and cut.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use skyshield_common::{Address, Ban, PrefixBan, Rate, Settings as Wire, UNTIL_LIFTED, maps as names};

use super::backing::{self, Capacity, Kind, Maps};
use super::clock;
use super::deadlines::Deadlines;
use super::enforcer::{
    Counters, Enforcer, Entry, EventTotals, Fill, Met, Reader, Replaced, Sender, Settings, Shape,
};
use super::error::Error;
use super::list::List;
use super::places::Placed;
use super::prefixes::Prefixes;
use super::rules::Rule;
use super::wire::{met, wire};
use crate::engine::place::Places;
use crate::engine::source::Source;

/// Bans over [`Maps`]: counts, capacities, deadlines and covering prefixes are kept here, so that
/// the kernel and the model cannot differ in them.
pub struct Table<M> {
    maps: M,
    capacity: Capacity,
    used: BTreeMap<(Kind, bool), u32>,
    prefixes: Prefixes,
    /// Entries whose cover has changed and that are still to be written: none, but after a failure.
    unwritten: BTreeMap<IpNet, PrefixBan>,
    /// When bans end by themselves.
    deadlines: Deadlines,
    allowed: BTreeSet<Source>,
    shapes: BTreeSet<[u8; 16]>,
    settings: Wire,
}

impl<M> Table<M> {
    pub(super) fn model(&self) -> &M {
        &self.maps
    }
}

impl<M: Maps> Table<M> {
    /// Takes up what the maps hold already. What they say to the program stays as it is: before [`Self::begin`] a start
    /// may still fail, and is to have changed nothing then.
    pub(super) fn adopt(maps: M, capacity: Capacity) -> Result<Self, Error> {
        let mut table = Self {
            capacity,
            used: BTreeMap::new(),
            prefixes: Prefixes::default(),
            unwritten: BTreeMap::new(),
            deadlines: Deadlines::default(),
            allowed: BTreeSet::new(),
            shapes: BTreeSet::new(),
            settings: maps.settings(),
            maps,
        };
        for (source, ban) in table.maps.bans()? {
            table.count(Kind::Ban, source, 1);
            table.note(source, ban);
        }
        let pinned: BTreeMap<IpNet, PrefixBan> = table.maps.prefixes()?.into_iter().collect();
        for (prefix, entry) in &pinned {
            let source = Source::prefix(*prefix);
            table.count(Kind::Prefix, source, 1);
            table.note(source, entry.own);
            let planned = table.prefixes.planned(*prefix, entry.own);
            table.prefixes.insert(*prefix, planned);
        }
        // A daemon that died between two writes may have left a cover behind.
        let stale = table.prefixes.iter().filter(|(prefix, entry)| pinned.get(prefix) != Some(entry));
        table.unwritten = stale.collect();
        table.write_changed()?;
        for prefix in table.maps.allowed()? {
            let source = Source::prefix(prefix);
            table.count(Kind::Allowed, source, 1);
            table.allowed.insert(source);
        }
        Ok(table)
    }

    /// Puts `settings` in force in place of all that was said by an earlier daemon, also of what it had pass; how much
    /// longer everything would have passed.
    pub(super) fn begin(&mut self, settings: Settings) -> Result<Duration, Error> {
        let bypass_left = self.bypass_left();
        self.say(&wire(settings))?;
        Ok(bypass_left)
    }

    fn count(&mut self, kind: Kind, source: Source, change: i32) {
        let used = self.used.entry((kind, source.address().is_ipv6())).or_default();
        *used = used.saturating_add_signed(change);
    }

    fn note(&mut self, source: Source, ban: Ban) {
        if ban.expires_at_ns != UNTIL_LIFTED {
            self.deadlines.note(ban.expires_at_ns, source);
        }
    }

    /// Takes the notes of ends anew where most are of bans that were lifted or lengthened.
    fn note_anew(&mut self) -> Result<(), Error> {
        if !self.deadlines.are_crowded(self.used.values().map(|&used| used as usize).sum()) {
            return Ok(());
        }
        let hosts = self.maps.bans()?;
        let prefixes: Vec<_> =
            self.prefixes.iter().map(|(prefix, entry)| (Source::prefix(prefix), entry.own)).collect();
        self.deadlines = Deadlines::default();
        for (source, ban) in hosts.into_iter().chain(prefixes) {
            self.note(source, ban);
        }
        Ok(())
    }

    /// Fails if one more entry of this kind does not fit; ended bans make room first.
    fn make_room(&mut self, kind: Kind, source: Source) -> Result<(), Error> {
        const SWEPT_AT_ONCE: usize = 1024;
        if self.is_full(kind, source) && kind != Kind::Allowed {
            self.sweep(SWEPT_AT_ONCE)?;
        }
        if self.is_full(kind, source) {
            let v6 = source.address().is_ipv6();
            return Err(Error::Full { map: kind.map(v6), capacity: self.capacity.of_kind(kind) });
        }
        Ok(())
    }

    fn is_full(&self, kind: Kind, source: Source) -> bool {
        let used = self.used.get(&(kind, source.address().is_ipv6())).copied().unwrap_or_default();
        used >= self.capacity.of_kind(kind)
    }

    fn put_list(&mut self, list: &List) -> Result<Replaced, Error> {
        let Capacity { listed, ranges, .. } = self.capacity;
        for (map, entries, capacity) in [
            (names::HOSTS_V4, list.hosts.len(), listed),
            (names::RANGES_V4, list.v4.len(), ranges),
            (names::RANGES_V6, list.v6.len(), ranges),
        ] {
            if entries > capacity as usize {
                return Err(Error::Full { map, capacity });
            }
        }
        self.maps.put_list(list)
    }

    fn say(&mut self, wire: &Wire) -> Result<(), Error> {
        self.maps.put_settings(wire)?;
        self.settings = *wire;
        Ok(())
    }

    fn current(&self, source: Source) -> Result<Option<Ban>, Error> {
        if source.is_host() {
            self.maps.ban(source.address())
        } else {
            Ok(self.prefixes.get(source.as_prefix()).map(|entry| entry.own))
        }
    }

    fn write_changed(&mut self) -> Result<(), Error> {
        while let Some((prefix, entry)) = self.unwritten.first_key_value().map(|(key, entry)| (*key, *entry))
        {
            self.maps.put_prefix(prefix, entry)?;
            self.unwritten.remove(&prefix);
        }
        Ok(())
    }
}

impl<M: Maps> Enforcer for Table<M> {
    fn install(&mut self, source: Source, entry: Entry) -> Result<(), Error> {
        let expires_at_ns = clock::deadline(self.maps.now_ns(), entry.ttl);
        let ban = Ban::new(expires_at_ns, entry.decision.0, entry.origin as u8);
        let kind = Kind::of(source);
        let is_new = self.current(source)?.is_none();
        if is_new {
            self.make_room(kind, source)?;
        }
        if source.is_host() {
            self.maps.put_ban(source.address(), ban)?;
        } else {
            let prefix = source.as_prefix();
            let planned = self.prefixes.planned(prefix, ban);
            self.maps.put_prefix(prefix, planned)?;
            self.unwritten.remove(&prefix);
            self.unwritten.extend(self.prefixes.insert(prefix, planned));
        }
        if is_new {
            self.count(kind, source, 1);
        }
        self.note(source, ban);
        self.write_changed()
    }

    fn remove(&mut self, source: Source) -> Result<bool, Error> {
        if self.current(source)?.is_none() {
            return Ok(false);
        }
        if source.is_host() {
            self.maps.cut_ban(source.address())?;
        } else {
            let prefix = source.as_prefix();
            self.maps.cut_prefix(prefix)?;
            self.unwritten.remove(&prefix);
            self.unwritten.extend(self.prefixes.remove(prefix).unwrap_or_default());
        }
        self.count(Kind::of(source), source, -1);
        self.write_changed()?;
        Ok(true)
    }

    fn get(&self, source: Source) -> Result<Option<Entry>, Error> {
        let now_ns = self.maps.now_ns();
        Ok(self.current(source)?.and_then(|ban| backing::entry_of(ban, now_ns)))
    }

    fn entries(&self) -> Result<Vec<(Source, Entry)>, Error> {
        backing::entries(&self.maps)
    }

    fn shape(&mut self, source: IpAddr, shape: Option<Shape>) -> Result<(), Error> {
        let octets = match source {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        let key = Address::from_octets(octets).rate_key();
        let rate =
            shape.map(|shape| Rate::per_sec(shape.packets_per_sec.max(1), shape.burst, clock::jiffy_ns()));
        let known = self.shapes.contains(&key.0);
        if rate.is_some() && !known && self.shapes.len() >= self.capacity.allowed as usize {
            return Err(Error::Full { map: names::SHAPES, capacity: self.capacity.allowed });
        }
        if rate.is_some() || known {
            self.maps.put_shape(key, rate)?;
        }
        if rate.is_some() {
            self.shapes.insert(key.0)
        } else {
            self.shapes.remove(&key.0)
        };
        Ok(())
    }

    fn replace_list(&mut self, addresses: &[Ipv4Addr]) -> Result<Replaced, Error> {
        let mut sorted: Vec<u32> = addresses.iter().map(|address| address.to_bits()).collect();
        sorted.sort_unstable();
        sorted.dedup();
        self.put_list(&List { hosts: sorted, ..List::default() })
    }

    fn load_list(&mut self, list: &List) -> Result<Replaced, Error> {
        self.put_list(list)
    }

    fn set_places(&mut self, places: &Places) -> Result<(), Error> {
        let placed = Placed::of(places);
        let capacity = self.capacity.places;
        // A prefix by itself comes to two edges.
        let [v4, v6] = placed.edges();
        for (map, edges) in [(names::PLACES_V4, v4), (names::PLACES_V6, v6)] {
            if edges > capacity.saturating_mul(2) {
                return Err(Error::Full { map, capacity });
            }
        }
        self.maps.put_places(&placed)
    }

    fn set_rules(&mut self, rules: &[Rule]) -> Result<(), Error> {
        self.maps.put_rules(rules)
    }

    fn met(&self, source: Source) -> Result<Met, Error> {
        let now_ns = self.maps.now_ns();
        if source.is_host() {
            return Ok(met([self.maps.hits(source.address())?], now_ns));
        }
        let prefix = source.as_prefix();
        if self.prefixes.get(prefix).is_none() {
            return Ok(Met::default());
        }
        let own = self.maps.prefix_hits(prefix)?;
        let mut all = vec![own.own_hits];
        // Where an inner ban has ended, it is the inner entry that counts what this one drops.
        for (inner, _) in self.prefixes.inside(prefix) {
            let entry = self.maps.prefix_hits(inner)?;
            if entry.cover.decision == own.own.decision {
                all.push(entry.cover_hits);
            }
        }
        Ok(met(all, now_ns))
    }

    fn take_senders(&mut self) -> Vec<Sender> {
        self.maps.take_senders()
    }

    fn sweep(&mut self, limit: usize) -> Result<usize, Error> {
        self.maps.keep_time()?;
        self.note_anew()?;
        let now_ns = self.maps.now_ns();
        let mut freed = 0;
        for _ in 0..limit {
            let Some(source) = self.deadlines.take(now_ns) else { break };
            // What was lengthened meanwhile has a note of its new end.
            if self.current(source)?.is_some_and(|ban| !ban.holds(now_ns)) {
                self.remove(source).inspect_err(|_| self.deadlines.note(now_ns, source))?;
                freed += 1;
            }
        }
        Ok(freed)
    }

    fn set_allowed(&mut self, sources: &[Source]) -> Result<(), Error> {
        let wanted: BTreeSet<Source> = sources.iter().copied().collect();
        // Room is checked before anything is touched; additions go before removals, so that no
        // moment is without either the old or the new list.
        for v6 in [false, true] {
            let count = wanted.iter().filter(|source| source.address().is_ipv6() == v6).count();
            if count > self.capacity.allowed as usize {
                let map = Kind::Allowed.map(v6);
                return Err(Error::Full { map, capacity: self.capacity.allowed });
            }
        }
        for added in wanted.difference(&self.allowed.clone()) {
            self.maps.put_allowed(added.as_prefix())?;
            self.allowed.insert(*added);
            self.count(Kind::Allowed, *added, 1);
        }
        for gone in self.allowed.clone().difference(&wanted) {
            self.maps.cut_allowed(gone.as_prefix())?;
            self.allowed.remove(gone);
            self.count(Kind::Allowed, *gone, -1);
        }
        Ok(())
    }

    fn allowed(&self) -> Vec<Source> {
        self.allowed.iter().copied().collect()
    }

    fn counters(&self) -> Result<Counters, Error> {
        self.maps.counters()
    }

    fn event_counters(&self) -> Result<EventTotals, Error> {
        self.maps.event_counters()
    }

    fn fill(&self) -> Vec<Fill> {
        let mut fills = Vec::new();
        for kind in [Kind::Ban, Kind::Prefix, Kind::Allowed] {
            for v6 in [false, true] {
                let entries = self.used.get(&(kind, v6)).copied().unwrap_or_default();
                fills.push(Fill { map: kind.map(v6), entries, capacity: self.capacity.of_kind(kind) });
            }
        }
        let (listed, Capacity { listed: hosts, ranges, .. }) = (self.maps.listed(), self.capacity);
        fills.push(Fill { map: names::HOSTS_V4, entries: listed.hosts, capacity: hosts });
        fills.push(Fill { map: names::RANGES_V4, entries: listed.v4, capacity: ranges });
        fills.push(Fill { map: names::RANGES_V6, entries: listed.v6, capacity: ranges });
        let [v4, v6] = self.maps.placed();
        let capacity = self.capacity.places.saturating_mul(2);
        fills.push(Fill { map: names::PLACES_V4, entries: v4, capacity });
        fills.push(Fill { map: names::PLACES_V6, entries: v6, capacity });
        fills
    }

    fn set_settings(&mut self, settings: Settings) -> Result<(), Error> {
        let Wire { silent_after_ns, bypass_until_ns, .. } = self.settings;
        self.say(&Wire { silent_after_ns, bypass_until_ns, ..wire(settings) })
    }

    fn heartbeat(&mut self, ttl: Option<Duration>) -> Result<(), Error> {
        let silent_after_ns = ttl.map_or(0, |ttl| clock::deadline(self.maps.now_ns(), Some(ttl)));
        self.say(&Wire { silent_after_ns, ..self.settings })
    }

    fn bypass(&mut self, ttl: Option<Duration>) -> Result<(), Error> {
        let bypass_until_ns = clock::bypass_until(self.maps.now_ns(), ttl);
        self.say(&Wire { bypass_until_ns, ..self.settings })
    }

    fn bypass_left(&self) -> Duration {
        Duration::from_nanos(self.settings.bypass_until_ns.saturating_sub(self.maps.now_ns()))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        self.maps.reader()
    }
}

#[cfg(test)]
mod tests;
