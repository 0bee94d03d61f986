//! What lies under a [`Table`](super::table::Table): maps that put, cut and list, and no more.

use std::net::IpAddr;

use ipnet::IpNet;
use skyshield_common::{Ban, Hits, PrefixBan, Rate, RateKey, Settings as Wire, maps};

use super::clock;
use super::config::Config;
use super::enforcer::{Counters, Entry, EventTotals, Reader, Replaced, Sender};
use super::error::Error;
use super::list::List;
use super::places::Placed;
use super::rules::Rule;
use crate::engine::decision::{DecisionId, Origin};
use crate::engine::source::Source;

/// The maps themselves: the kernel's, or a model.
pub trait Maps: Send {
    fn now_ns(&self) -> u64;
    fn ban(&self, address: IpAddr) -> Result<Option<Ban>, Error>;
    fn put_ban(&mut self, address: IpAddr, ban: Ban) -> Result<(), Error>;
    fn cut_ban(&mut self, address: IpAddr) -> Result<(), Error>;
    fn put_prefix(&mut self, prefix: IpNet, ban: PrefixBan) -> Result<(), Error>;
    fn cut_prefix(&mut self, prefix: IpNet) -> Result<(), Error>;
    fn put_allowed(&mut self, prefix: IpNet) -> Result<(), Error>;
    fn cut_allowed(&mut self, prefix: IpNet) -> Result<(), Error>;
    fn put_settings(&mut self, settings: &Wire) -> Result<(), Error>;
    /// What was put last, by this daemon or an earlier one.
    fn settings(&self) -> Wire;
    fn bans(&self) -> Result<Vec<(Source, Ban)>, Error>;
    fn prefixes(&self) -> Result<Vec<(IpNet, PrefixBan)>, Error>;
    fn allowed(&self) -> Result<Vec<IpNet>, Error>;
    fn counters(&self) -> Result<Counters, Error>;
    fn event_counters(&self) -> Result<EventTotals, Error>;
    /// Sets the program's clock right, if it has gone wrong.
    fn keep_time(&mut self) -> Result<(), Error>;
    /// Makes the rate of `key` one of its own, or the common one again.
    fn put_shape(&mut self, key: RateKey, rate: Option<Rate>) -> Result<(), Error>;
    /// Makes this the list.
    fn put_list(&mut self, list: &List) -> Result<Replaced, Error>;
    /// How much the list has.
    fn listed(&self) -> Listed;
    /// Makes this what is decided of places.
    fn put_places(&mut self, placed: &Placed) -> Result<(), Error>;
    /// Edges of places, of IPv4 and of IPv6.
    fn placed(&self) -> [u32; 2];
    /// Makes these the rules.
    fn put_rules(&mut self, rules: &[Rule]) -> Result<(), Error>;
    /// What the ban of exactly this address has met.
    fn hits(&self, address: IpAddr) -> Result<Hits, Error>;
    /// The entry of exactly this banned prefix, with what it has met.
    fn prefix_hits(&self, prefix: IpNet) -> Result<PrefixBan, Error>;
    /// Takes out who has sent most since it was last taken out.
    fn take_senders(&mut self) -> Vec<Sender>;
    fn reader(&self) -> Result<Box<dyn Reader>, Error>;
}

/// Entries of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// IPv4 addresses by themselves.
    pub hosts: u32,
    /// Ranges of IPv4 addresses.
    pub v4: u32,
    /// Ranges of IPv6 addresses.
    pub v6: u32,
}

/// How much of each kind fits, per address family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    pub(super) bans: u32,
    pub(super) prefixes: u32,
    pub(super) allowed: u32,
    pub(super) listed: u32,
    pub(super) ranges: u32,
    pub(super) places: u32,
}

/// One kind of entry of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Ban,
    Prefix,
    Allowed,
}

impl Capacity {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            bans: config.max_bans,
            prefixes: config.max_prefixes,
            allowed: config.max_allowed,
            listed: config.max_listed,
            ranges: config.max_listed_prefixes,
            places: config.max_place_prefixes,
        }
    }

    pub(super) const fn of_kind(self, kind: Kind) -> u32 {
        match kind {
            Kind::Ban => self.bans,
            Kind::Prefix => self.prefixes,
            Kind::Allowed => self.allowed,
        }
    }
}

impl Kind {
    /// The kind that a ban of `source` is of.
    pub(super) fn of(source: Source) -> Self {
        if source.is_host() { Self::Ban } else { Self::Prefix }
    }

    /// The map of this kind and family.
    pub(super) const fn map(self, v6: bool) -> &'static str {
        match (self, v6) {
            (Self::Ban, false) => maps::BANS_V4,
            (Self::Ban, true) => maps::BANS_V6,
            (Self::Prefix, false) => maps::PREFIXES_V4,
            (Self::Prefix, true) => maps::PREFIXES_V6,
            (Self::Allowed, false) => maps::ALLOWED_V4,
            (Self::Allowed, true) => maps::ALLOWED_V6,
        }
    }
}

/// The map that holds what is decided of exactly `source`.
pub(crate) fn map_of(source: Source) -> &'static str {
    Kind::of(source).map(source.address().is_ipv6())
}

/// All bans in force, of addresses and of prefixes.
pub(super) fn entries<M: Maps>(maps: &M) -> Result<Vec<(Source, Entry)>, Error> {
    let mut all = maps.bans()?;
    all.extend(maps.prefixes()?.into_iter().map(|(prefix, entry)| (Source::prefix(prefix), entry.own)));
    let now_ns = maps.now_ns();
    Ok(all.into_iter().filter_map(|(source, ban)| Some((source, entry_of(ban, now_ns)?))).collect())
}

/// A ban in force as an entry. An origin of no known code is read as the highest: what is not
/// understood is not to be overridden by a detector.
pub(super) fn entry_of(ban: Ban, now_ns: u64) -> Option<Entry> {
    ban.holds(now_ns).then(|| Entry {
        decision: DecisionId(ban.decision),
        origin: Origin::from_code(ban.origin).unwrap_or(Origin::Operator),
        ttl: clock::ttl(now_ns, ban.expires_at_ns),
    })
}
