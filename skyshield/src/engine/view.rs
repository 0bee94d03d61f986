//! The published view: what a door may know of decisions in force and of standings, without a lock.

mod held;
mod known;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::behaviour::{Claims, source_of};
use super::decision::{Decision, DecisionId, Layer, Origin};
use super::feeds::Lists;
use super::incident::IncidentId;
use super::indicators::Suspects;
use super::never_ban::NeverBan;
use super::place::Atlas;
use super::ranges::Ranges;
use super::reputation::Hearsay;
use super::response::Measures;
use super::risk::Score;
use super::ruling::{About, Book};
use super::source::Source;
use super::standing::Standing;
use super::turned_away::TurnedAway;
use super::whereabouts::Place;
use held::Held;

pub use known::Unwanted;

/// Sources whose standing is remembered at the most; beyond it, new ones are not (and counted).
pub const MAX_STANDINGS: usize = 100_000;

/// What is in force of one ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The decision behind it.
    pub id: DecisionId,
    /// When it ends; `None` is until lifted.
    pub until: Option<Instant>,
    /// The incident that gave rise to it.
    pub incident: Option<IncidentId>,
    /// Where it is enforced.
    pub layer: Layer,
    /// On whose authority.
    pub origin: Origin,
}

impl InForce {
    /// What is left of it at `now`; `None` is until lifted.
    pub fn remaining(self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }

    fn holds(self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// That a source is slowed down.
#[derive(Clone, Copy, Debug)]
struct Shaped {
    score: Score,
    as_of: Instant,
}

/// A source that scores no more than before is reported again only after this long.
const HEARD_LATELY: Duration = Duration::from_secs(10);

/// Read by every request, written by the one owner of the engine.
#[derive(Debug, Default)]
pub struct View {
    /// By their bytes, so that an entry is no larger than it must be.
    hosts_v4: papaya::HashMap<Ipv4Addr, Held>,
    hosts_v6: papaya::HashMap<Ipv6Addr, Held>,
    prefixes: papaya::HashMap<IpNet, InForce>,
    /// What ends are counted from: the first that came.
    epoch: OnceLock<Instant>,
    lengths: Lengths,
    standings: papaya::HashMap<IpAddr, Standing>,
    /// By source: an IPv4 address, the first of an IPv6 /64.
    claims: papaya::HashMap<IpAddr, Claims>,
    shaped: papaya::HashMap<IpAddr, Shaped>,
    never_ban: ArcSwap<NeverBan>,
    book: ArcSwap<Book>,
    atlas: ArcSwap<Atlas>,
    lists: ArcSwap<Lists>,
    suspects: ArcSwap<Suspects>,
    hearsay: Hearsay,
    measures: Arc<Measures>,
    turned_away: TurnedAway,
}

impl View {
    /// The ban that `address` is under at `now`, if any; never one that the never-ban set forbids.
    pub fn ban_of(&self, address: IpAddr, now: Instant) -> Option<InForce> {
        let exact = self.host_ban(address).filter(|ban| ban.holds(now));
        let ban = exact.or_else(|| self.prefix_ban_of(address, now));
        let book = self.book.load();
        let ban = if book.is_empty() { ban? } else { self.ruled(&book, ban, address, now)? };
        self.never_ban.load().protects(address).is_none().then_some(ban)
    }

    /// `ban`, or one of the place of `address`, unless that is let through.
    fn ruled(&self, book: &Book, ban: Option<InForce>, address: IpAddr, now: Instant) -> Option<InForce> {
        let about = book.about(address, &self.place_asked(book, address), None, now);
        if about.allow.is_some() {
            return None;
        }
        let of_place = about.ban.map(|word| InForce {
            id: word.id,
            until: word.until,
            incident: None,
            layer: Layer::Request,
            origin: Origin::Operator,
        });
        ban.or(of_place)
    }

    fn place_asked(&self, book: &Book, address: IpAddr) -> Place {
        if book.asks_place() { self.place_of(address) } else { Place::default() }
    }

    /// What is ruled about a request from `address`, whose user `user` tells where somebody asks.
    pub fn about<'a>(
        &self,
        address: IpAddr,
        user: impl FnOnce() -> Option<std::borrow::Cow<'a, [u8]>>,
        now: Instant,
    ) -> About {
        let book = self.book.load();
        if book.is_empty() {
            return About::default();
        }
        let user = if book.asks_user() { user() } else { None };
        let user = user.as_deref().and_then(|user| std::str::from_utf8(user).ok());
        book.about(address, &self.place_asked(&book, address), user, now)
    }

    /// Whether the place of `address` is let through at `now`, so that nobody bans it.
    pub fn lets_through(&self, address: IpAddr, now: Instant) -> bool {
        let book = self.book.load();
        book.asks_place() && book.about(address, &self.place_of(address), None, now).allow.is_some()
    }

    /// The addresses whose place is let through at `now`.
    pub fn places_let_through(&self, now: Instant) -> Ranges {
        let book = self.book.load();
        if !book.asks_place() {
            return Ranges::default();
        }
        self.atlas.load().ranges(|place| book.lets_through(place, now))
    }

    /// The prefixes that the kernel bans.
    pub fn banned_prefixes(&self) -> Ranges {
        let held = self.prefixes.pin();
        Ranges::of(held.iter().filter(|(_, ban)| ban.layer == Layer::Packet).map(|(prefix, _)| *prefix))
    }

    /// Whether some user is let through, so that no ban can be told by an address alone.
    pub fn allows_users(&self) -> bool {
        self.book.load().allows_users()
    }

    /// Where `address` is, as far as somebody knows.
    pub fn place_of(&self, address: IpAddr) -> Place {
        self.atlas.load().origin_of(address).unwrap_or_default()
    }

    /// Publishes what is ruled.
    pub(crate) fn set_book(&self, book: Book) {
        self.book.store(Arc::new(book));
    }

    fn host_ban(&self, address: IpAddr) -> Option<InForce> {
        let held = match address {
            IpAddr::V4(v4) => self.hosts_v4.pin().get(&v4).copied(),
            IpAddr::V6(v6) => self.hosts_v6.pin().get(&v6).copied(),
        };
        held.map(|held| held.in_force(self.epoch.get().copied()))
    }

    /// What is in force against exactly `source`.
    pub fn held(&self, source: Source) -> Option<InForce> {
        if source.is_host() {
            self.host_ban(source.address())
        } else {
            self.prefixes.pin().get(&source.as_prefix()).copied()
        }
    }

    /// Shows all that is in force to `see`. What changes meanwhile is shown as it was or as it is.
    pub fn each_held(&self, mut see: impl FnMut(Source, InForce)) {
        let epoch = self.epoch.get().copied();
        for (&address, held) in &self.hosts_v4.pin() {
            see(Source::host(address.into()), held.in_force(epoch));
        }
        for (&address, held) in &self.hosts_v6.pin() {
            see(Source::host(address.into()), held.in_force(epoch));
        }
        for (&prefix, &ban) in &self.prefixes.pin() {
            see(Source::prefix(prefix), ban);
        }
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
        let standing = self.standings.pin().get(&address).copied().unwrap_or_default();
        let claims = self.claims.pin().get(&source_of(address)).copied();
        let standing = claims.map_or(standing, |claims| standing.with_behaviour(claims)).at(now);
        self.with_what_others_say(standing, address, now)
    }

    /// Whether the control task has heard lately that `source` scores `score`, or more.
    pub fn is_shaped(&self, source: IpAddr, score: Score, now: Instant) -> bool {
        self.shaped.pin().get(&source_of(source)).is_some_and(|shaped| {
            shaped.score >= score && now.saturating_duration_since(shaped.as_of) < HEARD_LATELY
        })
    }

    /// What was last published of a source's behaviour.
    pub fn claims(&self, address: IpAddr) -> Claims {
        self.claims.pin().get(&source_of(address)).copied().unwrap_or_default()
    }

    /// Publishes what a source's behaviour amounts to; false where there is no room for it.
    pub fn set_claims(&self, address: IpAddr, claims: Claims) -> bool {
        let (source, all) = (source_of(address), self.claims.pin());
        if claims.is_empty() {
            all.remove(&source);
            return true;
        }
        let room = all.len() < MAX_STANDINGS || all.contains_key(&source);
        if room {
            all.insert(source, claims);
        }
        room
    }

    /// Publishes that `source` is slowed down for `score`, or that it is not any more.
    pub(crate) fn set_shaped(&self, source: IpAddr, shaped: Option<(Score, Instant)>) {
        match shaped {
            Some((score, as_of)) => _ = self.shaped.pin().insert(source_of(source), Shaped { score, as_of }),
            None => _ = self.shaped.pin().remove(&source_of(source)),
        }
    }

    /// Publishes a decision that came into force.
    pub(crate) fn install(&self, decision: &Decision) {
        let Decision { id, until, incident, layer, origin, .. } = *decision;
        let ban = InForce { id, until, incident, layer, origin };
        if decision.source.is_host() {
            if let Some(until) = until {
                self.epoch.get_or_init(|| until);
            }
            let held = Held::of(ban, self.epoch.get().copied());
            match decision.source.address() {
                IpAddr::V4(v4) => _ = self.hosts_v4.pin().insert(v4, held),
                IpAddr::V6(v6) => _ = self.hosts_v6.pin().insert(v6, held),
            }
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
        match source.address() {
            IpAddr::V4(v4) if source.is_host() => _ = self.hosts_v4.pin().remove(&v4),
            IpAddr::V6(v6) if source.is_host() => _ = self.hosts_v6.pin().remove(&v6),
            IpAddr::V4(_) | IpAddr::V6(_) => {
                if self.prefixes.pin().remove(&source.as_prefix()).is_some() {
                    self.lengths.count(source.as_prefix(), false);
                }
            }
        }
    }

    /// Publishes a source's standing; false where there is no room to remember it.
    pub(crate) fn set_standing(&self, address: IpAddr, standing: Standing) -> bool {
        let standings = self.standings.pin();
        let room = standings.len() < MAX_STANDINGS || standings.contains_key(&address);
        if room {
            standings.insert(address, standing.of_its_own());
        }
        room
    }

    /// Forgets the past of the sources in `source`.
    pub(crate) fn forget(&self, source: Source) {
        let is_kept = |address: &IpAddr| !source.covers(Source::host(*address));
        self.standings.pin().retain(|address, _| is_kept(address));
        self.claims.pin().retain(|address, _| is_kept(address) && *address != source_of(source.address()));
        self.shaped.pin().retain(|address, _| is_kept(address) && *address != source_of(source.address()));
    }

    /// Forgets the standings that have faded by `now`.
    pub(crate) fn forget_faded(&self, now: Instant) {
        self.standings.pin().retain(|_, standing| !standing.is_forgotten(now));
        self.claims.pin().retain(|_, claims| claims.worst(now) >= 0.01);
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
