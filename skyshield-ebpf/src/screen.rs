//! The one order in which a packet is judged.

use skyshield_common::place::{self, Policy};
use skyshield_common::rate::Due;
use skyshield_common::rules::{Act, Layer4, kind};
use skyshield_common::{Address, Limit, Rate, Reason, Settings, host, maps, near, rate};

use crate::look::{Class, Looked, look};
use crate::parse::{Frame, Packet, parse};

/// What a rate cell says to one more packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Within the rate.
    Within,
    /// Over it.
    Over,
    /// There is no cell for the source and none to be had.
    Untracked,
}

/// What is said of an address at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// It is banned or listed.
    Banned,
    /// It is neither.
    Clear,
    /// The tables know.
    Unclear,
}

/// What the screen asks of the kernel's maps, or of a model of them.
pub trait Tables {
    /// The parameters in force; `None` cannot happen.
    fn settings(&self) -> Option<&Settings>;
    /// The time, to the jiffy.
    fn now_ns(&self, settings: &Settings) -> u64;
    /// Whether the address itself may be banned or listed; if not, it is not.
    fn near_host(&self, source: &Address, settings: &Settings) -> bool;
    /// The same of a prefix that holds it.
    fn near_prefix(&self, source: &Address, settings: &Settings) -> bool;
    /// Both, in bits of [`near`]; tables may have it said elsewhere.
    #[inline(always)]
    fn hints(&self, source: &Address, settings: &Settings) -> usize {
        let mut hints = 0;
        if self.near_host(source, settings) {
            hints |= near::HOSTS;
        }
        if self.near_prefix(source, settings) {
            hints |= near::PREFIXES;
        }
        hints
    }
    /// Whether exactly this address is banned or listed.
    fn bans(&self, source: &Address, settings: &Settings, now_ns: u64) -> bool;
    /// What is said of it where that takes one look.
    #[inline(always)]
    fn glance(&self, source: &Address, settings: &Settings, _now_ns: u64) -> Glance {
        if self.near_host(source, settings) { Glance::Unclear } else { Glance::Clear }
    }
    /// The decision by which the longest banned prefix around this address is, or one that holds it.
    fn prefix_ban(&self, source: &Address, now_ns: u64) -> Option<u64>;
    /// Whether a listed prefix holds the address.
    fn listed(&self, source: &Address, settings: &Settings) -> bool;
    /// The number of the policy for the place that the address is of; 0 is none.
    fn place(&self, source: &Address, places: u64) -> u32;
    /// A policy.
    fn policy(&self, places: u64, number: u32) -> Policy;
    /// The first rule that suits a packet, and what it does.
    fn rule(&self, source: &Address, layer4: Layer4, rules: u64) -> Option<(u32, Act)>;
    /// Counts in a slot of [`HITS`](maps::HITS).
    fn hit(&self, slot: u32, bytes: u64);
    /// Whether the flow of this hash was not seen lately.
    fn is_new_flow(&self, hash: u64, now: u64, settings: &Settings) -> bool;
    /// What [`further`] says; tables may have it say so elsewhere.
    fn further(&self, source: u64, network: u64, load: Load, now: u64, settings: &Settings) -> Reason {
        further(self, source, network, load, now, settings)
    }
    /// Whether the address may be on the allow list; if not, it is not.
    fn near_allowed(&self, source: &Address, settings: &Settings) -> bool {
        self.allowed(source, settings)
    }
    /// Whether the address is on the allow list.
    fn allowed(&self, source: &Address, settings: &Settings) -> bool;
    /// The rate that a source has of its own.
    fn shape(&self, source: &Address) -> Option<Rate>;
    /// Takes `cost` out of the bucket of `hash`.
    fn admit(&self, hash: u64, now: u64, cost: u64, tolerance: u64) -> Admission;
    /// Whether the address is found to be banned or listed by a first look at tables that are small enough for that to
    /// find most that are.
    #[inline(always)]
    fn is_met(&self, _source: &Address, _now_ns: u64) -> bool {
        false
    }
    /// The [epoch](Settings::epoch) in force.
    fn epoch(&self) -> u64;
    /// The address, which is not known before the epoch is: what is asked of it is asked later, on any processor.
    fn after(&self, epoch: u64, source: &Address) -> Address;
    /// What is found where a source is first looked for among the buckets.
    type Home: Copy;
    /// Looks there, as early as may be.
    fn home(&self, hash: u64) -> Self::Home;
    /// Whether this [`clearance`](skyshield_common::clearance) is there.
    fn is_cleared(&self, home: Self::Home, clearance: u64) -> bool;
    /// Puts it there, where that is the source's own bucket: a flood of sources that come once leaves the others'.
    fn clear(&self, home: Self::Home, hash: u64, clearance: u64);
    /// What is said there of one more packet.
    fn due(&self, home: Self::Home, hash: u64, now: u64, rate: Rate) -> Due;
    /// The same as [`Self::admit`] of a packet that is not over, by what was said of it.
    fn admit_by(&self, home: Self::Home, hash: u64, now_ns: u64, settings: &Settings, due: Due) -> Admission;
}

/// What became of a packet, and by which decision (0 if by none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why.
    pub reason: Reason,
    /// The number of the decision that did it.
    pub decision: u64,
    /// The time it was judged at; 0 where nobody asked for the time.
    pub now_ns: u64,
}

impl Outcome {
    /// By no decision.
    #[must_use]
    pub const fn of(reason: Reason) -> Self {
        Self { reason, decision: 0, now_ns: 0 }
    }
}

/// Judges a packet: disarmed, unreadable, banned, odd, over its rate, allowed all the same, dry run.
///
/// A ban goes before what is odd about a packet: it ends packets of all protocols, whatever they
/// carry, and one that it ends need not be read any further.
#[inline(always)]
pub fn screen<F: Frame + ?Sized, T: Tables>(frame: &F, tables: &T) -> Outcome {
    let Some(settings) = tables.settings() else { return Outcome::of(Reason::Unexpected) };
    let now_ns = tables.now_ns(settings);
    if now_ns < settings.bypass_until_ns {
        return Outcome::of(Reason::Bypassed);
    }
    if settings.silent_after_ns != 0 && now_ns > settings.silent_after_ns {
        return Outcome::of(Reason::DaemonSilent);
    }
    let packet = match parse(frame) {
        Ok(packet) => Packet { header_at: frame.opaque(packet.header_at), ..packet },
        Err(reason) => {
            let reason = frame.one_of_many(reason);
            let drops = settings.drops(reason) && !settings.spares(reason);
            return Outcome { now_ns, ..Outcome::of(if drops { reason.dropped() } else { reason }) };
        }
    };
    let mut outcome = judge(frame, &packet, now_ns, settings, tables);
    outcome.reason = frame.one_of_many(outcome.reason);
    if !outcome.reason.drops() {
        return outcome;
    }
    // Looked up only for a packet about to be dropped: the allow list costs honest packets nothing.
    if tables.allowed(&packet.source, settings) {
        outcome.reason = allowed(outcome.reason);
    } else if settings.spares(outcome.reason) {
        outcome.reason = outcome.reason.in_dry_run();
    }
    outcome
}

#[inline(always)]
const fn allowed(reason: Reason) -> Reason {
    if reason.is_oddity() {
        Reason::AllowedOddity
    } else if reason.is_rate() {
        Reason::AllowedRate
    } else {
        Reason::AllowedBan
    }
}

#[inline(always)]
fn judge<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &Packet,
    now_ns: u64,
    settings: &Settings,
    tables: &T,
) -> Outcome {
    let hints = frame.opaque(tables.hints(&packet.source, settings));
    if hints & near::HOSTS != 0 && tables.bans(&packet.source, settings, now_ns) {
        // Which decision it was is asked for only where it is told of.
        return Outcome { reason: Reason::BannedExact, decision: 0, now_ns };
    }
    let hash = rate::hash(packet.source.rate_source(), Limit::Packets as u64, settings.seed);
    let mut place = 0;
    if hints & near::PREFIXES != 0 {
        if let Some(decision) = tables.prefix_ban(&packet.source, now_ns) {
            return Outcome { reason: Reason::BannedPrefix, decision, now_ns };
        }
        if tables.listed(&packet.source, settings) {
            return Outcome { reason: Reason::BannedPrefix, decision: 0, now_ns };
        }
        if settings.places != 0 {
            place = tables.place(&packet.source, settings.places);
        }
    }
    let mut spared = Reason::Passed;
    // The rate of its packets, and what it is when over it: always set, for what is left open on some way
    // older verifiers refuse.
    let (mut packets, mut exceeded) = (settings.rate(Limit::Packets), Reason::RateExceeded);
    if place != 0 {
        let policy = tables.policy(settings.places, place);
        tables.hit(maps::PLACE_HITS + place, frame.length() as u64);
        let is_dry = policy.act & place::act::DRY_RUN != 0;
        if policy.act & place::act::BAN == 0 {
            packets = policy.rate;
            exceeded = if is_dry { Reason::DryRunPlaceRateExceeded } else { Reason::PlaceRateExceeded };
        } else if is_dry {
            spared = Reason::DryRunBannedPlace;
        } else {
            return Outcome { reason: Reason::BannedPlace, decision: 0, now_ns };
        }
    }
    let Looked { class, oddity } = look(frame, packet);
    let (class, oddity) = (frame.opaque(class as usize), frame.one_of_many(oddity));
    if settings.drops(oddity) {
        return Outcome { reason: oddity.dropped(), decision: 0, now_ns };
    }
    let mut before = frame.one_of_many(if oddity == Reason::Passed { spared } else { oddity });
    if settings.rules != 0 {
        before = frame.one_of_many(ruled(frame, packet, before, now_ns, settings, tables));
        if before.drops() {
            return Outcome { reason: before, decision: 0, now_ns };
        }
    }
    let reason = limit(frame, packet, (class, before), (hash, packets, exceeded), now_ns, settings, tables);
    Outcome { reason, decision: 0, now_ns }
}

/// What the operator's rules say: a reason that drops, or what it was before or has become.
#[inline(always)]
fn ruled<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &Packet,
    before: Reason,
    now_ns: u64,
    settings: &Settings,
    tables: &T,
) -> Reason {
    let layer4 = frame.layer4(packet);
    let Some((rule, Act { kind, rate })) = tables.rule(&packet.source, layer4, settings.rules) else {
        return before;
    };
    tables.hit(rule, frame.length() as u64);
    let reason = match kind & kind::MASK {
        kind::DROP => Reason::RuleDropped,
        kind::LIMIT => {
            // Of each rule a source has a cell of its own.
            let key = packet.source.rate_source() ^ host::mix(u64::from(rule) + 1);
            let hash = rate::hash(key, RULE_RATE, settings.seed);
            match tables.admit(hash, rate::units(now_ns), rate.interval, rate.tolerance) {
                Admission::Over => Reason::RuleRateExceeded,
                Admission::Within | Admission::Untracked => before,
            }
        }
        kind::TAP if before == Reason::Passed => Reason::Tapped,
        _ => before,
    };
    if kind & kind::DRY_RUN == 0 {
        reason
    } else if reason.drops() {
        reason.in_dry_run()
    } else {
        before
    }
}

/// The number under which rules' rates are kept, beside those of the [`Limit`]s.
const RULE_RATE: u64 = 0xff;

/// Counts a packet under every rate there is; the last that it is over, or else what it was before.
/// What it has spent under the others is spent.
#[inline(always)]
fn limit<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    packet: &Packet,
    (class, before): (usize, Reason),
    (hash, mut packets, mut exceeded): (u64, Rate, Reason),
    now_ns: u64,
    settings: &Settings,
    tables: &T,
) -> Reason {
    let source = &packet.source;
    if settings.shaped != 0
        && let Some(own) = tables.shape(source)
    {
        (packets, exceeded) = (own, Reason::RateExceeded);
    }
    let now = rate::units(now_ns);
    let mut reason = before;
    if packets.interval != 0 {
        match tables.admit(hash, now, packets.interval, packets.tolerance) {
            Admission::Within => {}
            Admission::Over => reason = exceeded,
            Admission::Untracked => reason = Reason::RateUntracked,
        }
        reason = frame.one_of_many(reason);
    }
    // Most hosts have no more.
    if settings.limits & !Limit::Packets.bit() == 0 {
        return reason;
    }
    let is_new_flow = settings.limits & Limit::OF_FLOWS != 0
        && (class == Class::Syn as usize
            || class == Class::Udp as usize && {
                let flow = host::mix(source.rate_source() ^ settings.seed) ^ frame.layer4(packet).0;
                tables.is_new_flow(host::mix(flow), now, settings)
            });
    let load = Load::new(class, is_new_flow, frame.length());
    let exceeded = tables.further(source.rate_source(), source.rate_network(), load, now, settings);
    if exceeded == Reason::Passed || exceeded == Reason::RateUntracked && reason.drops() {
        reason
    } else {
        exceeded
    }
}

/// What a packet puts on rates beside that of packets, in one word: its bytes, its class, whether it
/// begins a flow.
#[derive(Clone, Copy, Debug)]
pub struct Load(pub u64);

impl Load {
    #[inline(always)]
    const fn new(class: usize, is_new_flow: bool, bytes: usize) -> Self {
        Self(bytes as u64 & 0xffff_ffff | (class as u64 & 3) << 32 | (is_new_flow as u64) << 34)
    }

    #[inline(always)]
    const fn bytes(self) -> u64 {
        self.0 & 0xffff_ffff
    }

    #[inline(always)]
    const fn is_of(self, class: Class) -> bool {
        self.0 >> 32 & 3 == class as u64
    }

    #[inline(always)]
    const fn begins_flow(self) -> bool {
        self.0 >> 34 & 1 != 0
    }
}

/// Counts a packet under every rate but that of its source's packets: the last that it is over, or
/// [`Reason::RateUntracked`], or [`Reason::Passed`].
#[inline(always)]
pub fn further<T: Tables + ?Sized>(
    tables: &T,
    source: u64,
    network: u64,
    load: Load,
    now: u64,
    settings: &Settings,
) -> Reason {
    let mut reason = Reason::Passed;
    let mut count = |limit: Limit, key: u64, counts: bool| {
        if !counts || settings.limits & limit.bit() == 0 {
            return;
        }
        let Rate { interval, tolerance } = settings.rate(limit);
        let is_of_bytes = matches!(limit, Limit::Bytes | Limit::NetworkBytes);
        let cost = if is_of_bytes { (interval * load.bytes()) >> 10 } else { interval };
        let hash = rate::hash(key, limit as u64, settings.seed);
        match tables.admit(hash, now, cost, tolerance) {
            Admission::Within => {}
            Admission::Over => reason = limit.exceeded(),
            Admission::Untracked if reason.drops() => {}
            Admission::Untracked => reason = Reason::RateUntracked,
        }
    };
    count(Limit::Syns, source, load.is_of(Class::Syn));
    count(Limit::Udp, source, load.is_of(Class::Udp));
    count(Limit::Bytes, source, true);
    count(Limit::Flows, source, load.begins_flow());
    if settings.limits & Limit::OF_NETWORKS != 0 {
        count(Limit::NetworkPackets, network, true);
        count(Limit::NetworkSyns, network, load.is_of(Class::Syn));
        count(Limit::NetworkUdp, network, load.is_of(Class::Udp));
        count(Limit::NetworkBytes, network, true);
        count(Limit::NetworkFlows, network, load.begins_flow());
    }
    reason
}

#[cfg(test)]
pub(crate) mod tests;
