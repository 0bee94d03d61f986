//! The published view: what a door may know of decisions in force and of standings, without a lock.

use std::net::IpAddr;
use std::sync::Arc;
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
    prefixes: ArcSwap<Vec<(IpNet, InForce)>>,
    standings: papaya::HashMap<IpAddr, Standing>,
    never_ban: ArcSwap<NeverBan>,
}

impl View {
    /// The ban that `address` is under at `now`, if any; never one that the never-ban set forbids.
    pub fn ban_of(&self, address: IpAddr, now: Instant) -> Option<DecisionId> {
        let exact = self.hosts.pin().get(&address).copied().filter(|ban| ban.holds(now));
        let ban = exact.or_else(|| {
            let prefixes = self.prefixes.load();
            prefixes
                .iter()
                .find(|(prefix, ban)| prefix.contains(&address) && ban.holds(now))
                .map(|&(_, ban)| ban)
        })?;
        self.never_ban.load().protects(address).is_none().then_some(ban.id)
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
            self.change_prefixes(|prefixes| {
                prefixes.retain(|(prefix, _)| *prefix != decision.source.as_prefix());
                prefixes.push((decision.source.as_prefix(), ban));
            });
        }
    }

    /// Withdraws what was in force against `source`.
    pub(crate) fn remove(&self, source: Source) {
        if source.is_host() {
            self.hosts.pin().remove(&source.address());
        } else {
            self.change_prefixes(|prefixes| prefixes.retain(|(prefix, _)| *prefix != source.as_prefix()));
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

    fn change_prefixes(&self, change: impl FnOnce(&mut Vec<(IpNet, InForce)>)) {
        let mut prefixes = self.prefixes.load().as_ref().clone();
        change(&mut prefixes);
        self.prefixes.store(Arc::new(prefixes));
    }
}
