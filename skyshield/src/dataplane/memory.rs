//! A data plane without a kernel, for machines that have none to use and for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use skyshield_common::{Ban, Counter, Hits, PrefixBan, Rate, RateKey, Reason, Settings as Wire};

use super::backing::{self, Capacity, Listed, Maps};
use super::clock;
use super::config::Config;
use super::enforcer::{Counters, Entry, EventTotals, Hit, HitKind, Reader, Replaced, Sender};
use super::error::Error;
use super::list::List;
use super::places::Placed;
use super::rules::Rule;
use super::table::Table;
use crate::engine::source::Source;

/// Bans that are kept and counted like the kernel's and enforced on nobody.
pub type Memory = Table<Model>;

impl Memory {
    /// An empty one, with the capacities of `config`.
    pub fn new(config: &Config) -> Self {
        let begun = Self::adopt(Model::default(), Capacity::of(config)).and_then(|mut memory| {
            memory.begin(config.settings())?;
            Ok(memory)
        });
        match begun {
            Ok(memory) => memory,
            // The model has no failing call.
            Err(error) => unreachable!("a model of maps failed: {error}"),
        }
    }

    /// What the kernel would do now with a packet from `address`: the ban it is under, if any, and
    /// whether the allow list saves it.
    pub fn judge(&self, address: IpAddr) -> Option<(Ban, bool)> {
        let address = address.to_canonical();
        let now_ns = self.model().now_ns();
        let state = self.model().state();
        let Wire { silent_after_ns, bypass_until_ns, .. } = state.settings;
        if now_ns < bypass_until_ns || silent_after_ns != 0 && now_ns > silent_after_ns {
            return None;
        }
        let exact = state.bans.get(&address).copied().filter(|ban| ban.holds(now_ns));
        let longest = |prefix: &&IpNet| prefix.contains(&address);
        let ban = exact.or_else(|| {
            let prefix = state.prefixes.keys().filter(longest).max_by_key(|prefix| prefix.prefix_len())?;
            state.prefixes.get(prefix)?.in_force(now_ns).copied()
        })?;
        Some((ban, state.allowed.iter().any(|prefix| prefix.contains(&address))))
    }

    /// Moves the model's clock ahead.
    pub fn advance(&mut self, by: Duration) {
        self.model().state().ahead += by;
    }
}

/// The maps of a [`Memory`].
#[derive(Clone, Debug, Default)]
pub struct Model(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    ahead: Duration,
    settings: Wire,
    bans: BTreeMap<IpAddr, Ban>,
    prefixes: BTreeMap<IpNet, PrefixBan>,
    allowed: BTreeSet<IpNet>,
    shapes: BTreeMap<[u8; 16], Rate>,
    listed: List,
    placed: Placed,
    rules: Vec<Rule>,
}

impl Model {
    /// No holder of the lock can panic half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maps for Model {
    fn now_ns(&self) -> u64 {
        let ahead = u64::try_from(self.state().ahead.as_nanos()).unwrap_or(u64::MAX);
        clock::now_ns().saturating_add(ahead)
    }

    fn ban(&self, address: IpAddr) -> Result<Option<Ban>, Error> {
        Ok(self.state().bans.get(&address).copied())
    }

    fn put_ban(&mut self, address: IpAddr, ban: Ban) -> Result<(), Error> {
        self.state().bans.insert(address, ban);
        Ok(())
    }

    fn cut_ban(&mut self, address: IpAddr) -> Result<(), Error> {
        self.state().bans.remove(&address);
        Ok(())
    }

    fn put_prefix(&mut self, prefix: IpNet, ban: PrefixBan) -> Result<(), Error> {
        self.state().prefixes.insert(prefix, ban);
        Ok(())
    }

    fn cut_prefix(&mut self, prefix: IpNet) -> Result<(), Error> {
        self.state().prefixes.remove(&prefix);
        Ok(())
    }

    fn put_allowed(&mut self, prefix: IpNet) -> Result<(), Error> {
        self.state().allowed.insert(prefix);
        Ok(())
    }

    fn cut_allowed(&mut self, prefix: IpNet) -> Result<(), Error> {
        self.state().allowed.remove(&prefix);
        Ok(())
    }

    fn put_settings(&mut self, settings: &Wire) -> Result<(), Error> {
        self.state().settings = *settings;
        Ok(())
    }

    fn settings(&self) -> Wire {
        self.state().settings
    }

    fn bans(&self) -> Result<Vec<(Source, Ban)>, Error> {
        Ok(self.state().bans.iter().map(|(address, ban)| (Source::host(*address), *ban)).collect())
    }

    fn prefixes(&self) -> Result<Vec<(IpNet, PrefixBan)>, Error> {
        Ok(self.state().prefixes.iter().map(|(prefix, ban)| (*prefix, *ban)).collect())
    }

    fn allowed(&self) -> Result<Vec<IpNet>, Error> {
        Ok(self.state().allowed.iter().copied().collect())
    }

    fn counters(&self) -> Result<Counters, Error> {
        Ok(Reason::ALL.into_iter().map(|reason| (reason, Counter::default())).collect())
    }

    fn event_counters(&self) -> Result<EventTotals, Error> {
        Ok(EventTotals::default())
    }

    fn keep_time(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn put_shape(&mut self, key: RateKey, rate: Option<Rate>) -> Result<(), Error> {
        let mut state = self.state();
        match rate {
            Some(rate) => state.shapes.insert(key.0, rate),
            None => state.shapes.remove(&key.0),
        };
        Ok(())
    }

    fn put_list(&mut self, list: &List) -> Result<Replaced, Error> {
        let before = std::mem::replace(&mut self.state().listed, list.clone());
        Ok(list.replaces(&before))
    }

    fn listed(&self) -> Listed {
        self.state().listed.listed()
    }

    fn put_places(&mut self, placed: &Placed) -> Result<(), Error> {
        self.state().placed = placed.clone();
        Ok(())
    }

    fn placed(&self) -> [u32; 2] {
        self.state().placed.edges()
    }

    fn put_rules(&mut self, rules: &[Rule]) -> Result<(), Error> {
        self.state().rules = rules.to_vec();
        Ok(())
    }

    fn hits(&self, _: IpAddr) -> Result<Hits, Error> {
        Ok(Hits::default())
    }

    fn prefix_hits(&self, prefix: IpNet) -> Result<PrefixBan, Error> {
        Ok(self.state().prefixes.get(&prefix).copied().unwrap_or_default())
    }

    fn take_senders(&mut self) -> Vec<Sender> {
        Vec::new()
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(self.clone()))
    }
}

impl Reader for Model {
    fn entries(&self) -> Result<Vec<(Source, Entry)>, Error> {
        backing::entries(self)
    }

    fn counters(&self) -> Result<Counters, Error> {
        Maps::counters(self)
    }

    fn by_interface(&self) -> Result<Vec<(String, Counters)>, Error> {
        Ok(Vec::new())
    }

    fn event_counters(&self) -> Result<EventTotals, Error> {
        Maps::event_counters(self)
    }

    fn hits(&self) -> Result<Vec<Hit>, Error> {
        let state = self.state();
        let rules = state.rules.iter().map(|rule| (HitKind::Rule, rule.name.clone()));
        let places = state.placed.names.iter().map(|name| (HitKind::Place, name.clone()));
        let none = |(kind, name)| Hit { kind, name, counter: Counter::default() };
        Ok(rules.chain(places).map(none).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::enforcer::Enforcer as _;
    use super::*;
    use crate::engine::decision::{DecisionId, Origin};

    fn entry(decision: u64, secs: Option<u64>) -> Entry {
        let ttl = secs.map(Duration::from_secs);
        Entry { decision: DecisionId(decision), origin: Origin::Detector, ttl }
    }

    fn source(text: &str) -> Source {
        text.parse().unwrap()
    }

    fn small() -> Memory {
        Memory::new(&Config { max_bans: 2, max_prefixes: 2, max_allowed: 2, ..Config::default() })
    }

    fn banned_by(memory: &Memory, address: &str) -> Option<u64> {
        memory.judge(address.parse().unwrap()).map(|(ban, _)| ban.decision)
    }

    #[test]
    fn a_full_map_says_so_and_evicts_nothing() {
        let mut memory = small();
        for (decision, address) in [(1, "203.0.113.1"), (2, "203.0.113.2")] {
            memory.install(source(address), entry(decision, None)).unwrap();
        }
        let error = memory.install(source("203.0.113.3"), entry(3, None)).unwrap_err();
        assert!(matches!(error, Error::Full { map: "BANS_V4", capacity: 2 }), "{error}");
        // Another family, another kind and a change of what is there are not refused.
        memory.install(source("2001:db8::1"), entry(4, None)).unwrap();
        memory.install(source("198.51.100.0/24"), entry(5, None)).unwrap();
        memory.install(source("203.0.113.2"), entry(6, None)).unwrap();
        assert_eq!(banned_by(&memory, "203.0.113.1"), Some(1));
        assert_eq!(banned_by(&memory, "203.0.113.2"), Some(6));
        assert_eq!(memory.fill()[0], super::super::Fill { map: "BANS_V4", entries: 2, capacity: 2 });
    }

    #[test]
    fn bans_that_have_ended_make_room() {
        let mut memory = small();
        memory.install(source("203.0.113.1"), entry(1, Some(5))).unwrap();
        memory.install(source("203.0.113.2"), entry(2, Some(50))).unwrap();
        memory.advance(Duration::from_secs(10));
        assert_eq!(memory.get(source("203.0.113.1")).unwrap(), None);
        assert_eq!(memory.entries().unwrap().len(), 1);
        memory.install(source("203.0.113.3"), entry(3, None)).unwrap();
        assert_eq!(banned_by(&memory, "203.0.113.3"), Some(3));
        assert!(memory.install(source("203.0.113.4"), entry(4, None)).is_err());
    }

    #[test]
    fn an_inner_ban_that_ends_uncovers_the_outer_one() {
        let mut memory = Memory::new(&Config::default());
        memory.install(source("203.0.113.0/24"), entry(1, Some(600))).unwrap();
        memory.install(source("203.0.113.0/28"), entry(2, Some(5))).unwrap();
        assert_eq!(banned_by(&memory, "203.0.113.3"), Some(2));
        memory.advance(Duration::from_secs(6));
        assert_eq!(banned_by(&memory, "203.0.113.3"), Some(1));
        assert!(memory.remove(source("203.0.113.0/24")).unwrap());
        assert_eq!(banned_by(&memory, "203.0.113.3"), None);
        assert_eq!(memory.sweep(10).unwrap(), 1);
        assert!(!memory.remove(source("203.0.113.0/28")).unwrap());
    }

    #[test]
    fn a_longer_ban_in_place_of_a_shorter_one_is_not_swept_with_it() {
        let mut memory = Memory::new(&Config::default());
        memory.install(source("203.0.113.1"), entry(1, Some(5))).unwrap();
        memory.install(source("203.0.113.1"), entry(2, Some(500))).unwrap();
        memory.advance(Duration::from_secs(6));
        assert_eq!(memory.sweep(10).unwrap(), 0);
        assert_eq!(banned_by(&memory, "203.0.113.1"), Some(2));
    }

    #[test]
    fn the_allow_list_is_changed_whole_or_not_at_all() {
        let mut memory = small();
        let list = |texts: &[&str]| texts.iter().map(|text| source(text)).collect::<Vec<_>>();
        memory.set_allowed(&list(&["203.0.113.0/24", "198.51.100.7"])).unwrap();
        let error = memory.set_allowed(&list(&["10.0.0.1", "10.0.0.2", "10.0.0.3"])).unwrap_err();
        assert!(matches!(error, Error::Full { map: "ALLOWED_V4", capacity: 2 }));
        assert_eq!(memory.allowed(), list(&["198.51.100.7", "203.0.113.0/24"]));
        memory.set_allowed(&list(&["203.0.113.0/24", "2001:db8::/32"])).unwrap();
        memory.install(source("203.0.113.9"), entry(1, None)).unwrap();
        assert!(memory.judge("203.0.113.9".parse().unwrap()).is_some_and(|(_, allowed)| allowed));
    }

    #[test]
    fn a_reader_sees_what_the_owner_does() {
        let mut memory = Memory::new(&Config::default());
        let reader = memory.reader().unwrap();
        memory.install(source("203.0.113.1"), entry(1, None)).unwrap();
        let seen = std::thread::spawn(move || reader.entries().unwrap()).join().unwrap();
        assert_eq!(seen, [(source("203.0.113.1"), entry(1, None))]);
    }
}
