//! The published view: what a door may know of decisions in force and of standings, without a lock.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::decision::{Decision, DecisionId};
use super::never_ban::NeverBan;
use super::source::Source;
use super::standing::Standing;

/// Sources whose standing is remembered at the most; beyond it, new ones are not (and counted).
pub const MAX_STANDINGS: usize = 100_000;

/// What is in force of one ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The decision behind it.
    pub id: DecisionId,
    /// When it ends; `None` is until lifted.
    pub until: Option<Instant>,
}

impl InForce {
    fn holds(self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Read by every request, written by the one owner of the engine.
#[derive(Debug, Default)]
pub struct View {
    hosts: papaya::HashMap<IpAddr, InForce>,
    prefixes: papaya::HashMap<IpNet, InForce>,
    lengths: Lengths,
    standings: papaya::HashMap<IpAddr, Standing>,
    never_ban: ArcSwap<NeverBan>,
}

impl View {
    /// The ban that `address` is under at `now`, if any; never one that the never-ban set forbids.
    pub fn ban_of(&self, address: IpAddr, now: Instant) -> Option<DecisionId> {
        let exact = self.hosts.pin().get(&address).copied().filter(|ban| ban.holds(now));
        let ban = exact.or_else(|| self.prefix_ban_of(address, now))?;
        self.never_ban.load().protects(address).is_none().then_some(ban.id)
    }

    fn prefix_ban_of(&self, address: IpAddr, now: Instant) -> Option<InForce> {
        let prefixes = self.prefixes.pin();
        self.lengths.in_use(address).find_map(|length| {
            let prefix = IpNet::new(address, length).ok()?.trunc();
            prefixes.get(&prefix).copied().filter(|ban| ban.holds(now))
        })
    }

    /// The standing of `address` at `now`.
    pub fn standing(&self, address: IpAddr, now: Instant) -> Standing {
        self.standings.pin().get(&address).copied().unwrap_or_default().at(now)
    }

    /// Publishes a decision that came into force.
    pub(crate) fn install(&self, decision: &Decision) {
        let ban = InForce { id: decision.id, until: decision.until };
        if decision.source.is_host() {
            self.hosts.pin().insert(decision.source.address(), ban);
        } else {
            let prefix = decision.source.as_prefix();
            // Counted before it can be found, so that a reader never skips a length in use.
            self.lengths.count(prefix, true);
            if self.prefixes.pin().insert(prefix, ban).is_some() {
                self.lengths.count(prefix, false);
            }
        }
    }

    /// Withdraws what was in force against `source`.
    pub(crate) fn remove(&self, source: Source) {
        if source.is_host() {
            self.hosts.pin().remove(&source.address());
        } else if self.prefixes.pin().remove(&source.as_prefix()).is_some() {
            self.lengths.count(source.as_prefix(), false);
        }
    }

    /// Publishes a source's standing; false where there is no room to remember it.
    pub(crate) fn set_standing(&self, address: IpAddr, standing: Standing) -> bool {
        let standings = self.standings.pin();
        let room = standings.len() < MAX_STANDINGS || standings.contains_key(&address);
        if room {
            standings.insert(address, standing);
        }
        room
    }

    /// Forgets the standings that have faded by `now`.
    pub(crate) fn forget_faded(&self, now: Instant) {
        self.standings.pin().retain(|_, standing| !standing.is_forgotten(now));
    }

    /// Publishes the never-ban set.
    pub(crate) fn set_never_ban(&self, never_ban: Arc<NeverBan>) {
        self.never_ban.store(never_ban);
    }

    /// The never-ban set in force.
    pub fn never_ban(&self) -> Arc<NeverBan> {
        self.never_ban.load_full()
    }
}

/// How many prefixes of each length there are: a look-up asks once for each length in use.
#[derive(Debug)]
struct Lengths {
    v4: [AtomicUsize; 33],
    v6: [AtomicUsize; 129],
}

impl Default for Lengths {
    fn default() -> Self {
        Self { v4: [const { AtomicUsize::new(0) }; 33], v6: [const { AtomicUsize::new(0) }; 129] }
    }
}

impl Lengths {
    fn of(&self, is_v4: bool) -> &[AtomicUsize] {
        if is_v4 { &self.v4 } else { &self.v6 }
    }

    /// The lengths in use for the family of `address`, longest first.
    fn in_use(&self, address: IpAddr) -> impl Iterator<Item = u8> + '_ {
        let counts = self.of(address.is_ipv4()).iter().enumerate().rev();
        let in_use = counts.filter(|(_, count)| count.load(Ordering::Acquire) > 0);
        in_use.filter_map(|(length, _)| u8::try_from(length).ok())
    }

    fn count(&self, prefix: IpNet, is_new: bool) {
        if let Some(count) = self.of(prefix.addr().is_ipv4()).get(usize::from(prefix.prefix_len())) {
            if is_new {
                count.fetch_add(1, Ordering::AcqRel);
            } else {
                count.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}
