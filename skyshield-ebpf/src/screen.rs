//! The one order in which a packet is judged.

use skyshield_common::{Address, PrefixBan, Rate, Reason, Settings, Verdict, flag, near, rate};

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

/// The rates a packet may be counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Packets of the source.
    Packets = 0,
    /// TCP SYNs of the source.
    Syns = 1,
    /// UDP packets of the source.
    Udp = 2,
    /// Bytes of the source.
    Bytes = 3,
    /// Packets of the network around it.
    Network = 4,
}

impl Limit {
    /// The reason of a packet that is over it.
    const fn exceeded(self) -> Reason {
        match self {
            Self::Packets => Reason::RateExceeded,
            Self::Syns => Reason::SynRateExceeded,
            Self::Udp => Reason::UdpRateExceeded,
            Self::Bytes => Reason::ByteRateExceeded,
            Self::Network => Reason::NetworkRateExceeded,
        }
    }
}

/// What the screen asks of the kernel's maps, or of a model of them.
pub trait Tables {
    /// The parameters in force; `None` cannot happen.
    fn settings(&self) -> Option<&Settings>;
    /// The time, to the jiffy.
    fn now_ns(&self, settings: &Settings) -> u64;
    /// Which of [`near`]'s hints the address has; none is a promise that no ban has it.
    fn near(&self, source: &Address, settings: &Settings) -> usize;
    /// Whether exactly this address is banned or listed.
    fn bans(&self, source: &Address, settings: &Settings, now_ns: u64) -> bool;
    /// The ban of the longest banned prefix around this address, ended or not.
    fn prefix_ban(&self, source: &Address) -> Option<PrefixBan>;
    /// Whether a listed prefix holds the address.
    fn listed(&self, source: &Address, settings: &Settings) -> bool;
    /// Whether the address is on the allow list.
    fn allowed(&self, source: &Address) -> bool;
    /// The rate that a source has of its own.
    fn shape(&self, source: &Address) -> Option<Rate>;
    /// Takes `cost` out of the bucket of `hash`.
    fn admit(&self, hash: u64, now: u64, cost: u64, tolerance: u64, settings: &Settings) -> Admission;
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
    const fn of(reason: Reason) -> Self {
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
    if settings.has(flag::BYPASS) {
        return Outcome::of(Reason::Bypassed);
    }
    let now_ns = tables.now_ns(settings);
    if settings.silent_after_ns != 0 && now_ns > settings.silent_after_ns {
        return Outcome::of(Reason::DaemonSilent);
    }
    let packet = match parse(frame) {
        Ok(packet) => Packet { header_at: frame.opaque(packet.header_at), ..packet },
        Err(reason) => {
            let reason = frame.one_of_many(reason);
            let drops = settings.drops(reason) && !settings.has(flag::DRY_RUN);
            return Outcome::of(if drops { reason.dropped() } else { reason });
        }
    };
    let mut outcome = judge(frame, &packet, now_ns, settings, tables);
    outcome.reason = frame.one_of_many(outcome.reason);
    if outcome.reason.verdict() == Verdict::Pass {
        return outcome;
    }
    // Looked up only for a packet about to be dropped: the allow list costs honest packets nothing.
    if tables.allowed(&packet.source) {
        outcome.reason = allowed(outcome.reason);
    } else if settings.has(flag::DRY_RUN) {
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
    let hints = frame.opaque(tables.near(&packet.source, settings));
    if hints & near::HOSTS != 0 && tables.bans(&packet.source, settings, now_ns) {
        // Which decision it was is asked for only where it is told of.
        return Outcome { reason: Reason::BannedExact, decision: 0, now_ns };
    }
    if hints & near::PREFIXES != 0 {
        if let Some(entry) = tables.prefix_ban(&packet.source)
            && let Some(ban) = entry.in_force(now_ns)
        {
            return Outcome { reason: Reason::BannedPrefix, decision: ban.decision, now_ns };
        }
        if tables.listed(&packet.source, settings) {
            return Outcome { reason: Reason::BannedPrefix, decision: 0, now_ns };
        }
    }
    let Looked { class, oddity } = look(frame, packet);
    let (class, oddity) = (frame.opaque(class as usize), frame.one_of_many(oddity));
    if settings.drops(oddity) {
        return Outcome { reason: oddity.dropped(), decision: 0, now_ns };
    }
    let reason = limit(frame, &packet.source, (class, oddity), now_ns, settings, tables);
    Outcome { reason, decision: 0, now_ns }
}

/// Counts a packet under every rate there is; the last that it is over, or else what it was before.
/// What it has spent under the others is spent.
#[inline(always)]
fn limit<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    source: &Address,
    (class, before): (usize, Reason),
    now_ns: u64,
    settings: &Settings,
    tables: &T,
) -> Reason {
    let shape = if settings.shaped == 0 { None } else { tables.shape(source) };
    let packets = shape.unwrap_or(settings.packets);
    let key = source.rate_source();
    let now = rate::units(now_ns);
    let mut reason = before;
    let mut count = |limit: Limit, key: u64, cost: u64, tolerance: u64| {
        let hash = rate::hash(key, limit as u64, settings.seed);
        match tables.admit(hash, now, cost, tolerance, settings) {
            Admission::Within => {}
            Admission::Over => reason = limit.exceeded(),
            Admission::Untracked => reason = Reason::RateUntracked,
        }
        reason = frame.one_of_many(reason);
    };
    if packets.interval != 0 {
        count(Limit::Packets, key, packets.interval, packets.tolerance);
    }
    if class == Class::Syn as usize && settings.syns.interval != 0 {
        count(Limit::Syns, key, settings.syns.interval, settings.syns.tolerance);
    }
    if class == Class::Udp as usize && settings.udp.interval != 0 {
        count(Limit::Udp, key, settings.udp.interval, settings.udp.tolerance);
    }
    if settings.bytes.interval != 0 {
        let cost = (settings.bytes.interval * frame.length() as u64) >> 10;
        count(Limit::Bytes, key, cost, settings.bytes.tolerance);
    }
    if settings.network.interval != 0 {
        let key = source.rate_network();
        count(Limit::Network, key, settings.network.interval, settings.network.tolerance);
    }
    reason
}

#[cfg(test)]
mod tests {
    use skyshield_common::Ban;

    use super::*;

    /// Tables with one answer each.
    struct Model {
        settings: Option<Settings>,
        now_ns: u64,
        ban: Option<Ban>,
        prefix: Option<PrefixBan>,
        listed: bool,
        allowed: bool,
        admission: Admission,
    }

    impl Default for Model {
        fn default() -> Self {
            Self {
                settings: Some(with(0)),
                now_ns: 1_000,
                ban: None,
                prefix: None,
                listed: false,
                allowed: false,
                admission: Admission::Within,
            }
        }
    }

    impl Tables for Model {
        fn settings(&self) -> Option<&Settings> {
            self.settings.as_ref()
        }
        fn now_ns(&self, _: &Settings) -> u64 {
            self.now_ns
        }
        fn near(&self, _: &Address, _: &Settings) -> usize {
            near::HOSTS | near::PREFIXES
        }
        fn bans(&self, _: &Address, _: &Settings, now_ns: u64) -> bool {
            self.ban.is_some_and(|ban| ban.holds(now_ns))
        }
        fn prefix_ban(&self, _: &Address) -> Option<PrefixBan> {
            self.prefix
        }
        fn listed(&self, _: &Address, _: &Settings) -> bool {
            self.listed
        }
        fn allowed(&self, _: &Address) -> bool {
            self.allowed
        }
        fn shape(&self, _: &Address) -> Option<Rate> {
            None
        }
        fn admit(&self, _: u64, _: u64, _: u64, _: u64, _: &Settings) -> Admission {
            self.admission
        }
    }

    /// GRE, of which nothing more is read.
    const FRAME: [u8; 34] = {
        let mut frame = [0; 34];
        (frame[12], frame[14], frame[17], frame[22], frame[23]) = (0x08, 0x45, 20, 64, 47);
        (frame[26], frame[28], frame[29]) = (203, 113, 7);
        frame
    };

    fn with(flags: u64) -> Settings {
        Settings { flags, packets: Rate { interval: 1, tolerance: 1 }, ..Settings::default() }
    }

    fn expect(model: &Model, reason: Reason, decision: u64) {
        let outcome = screen(FRAME.as_slice(), model);
        assert_eq!((outcome.reason, outcome.decision), (reason, decision));
    }

    #[test]
    fn an_exact_ban_goes_before_a_prefix_ban_and_ends_by_itself() {
        let prefix = Some(PrefixBan { own: Ban::new(2_000, 8, 1), cover: Ban::NONE });
        expect(
            &Model { ban: Some(Ban::new(2_000, 7, 1)), prefix, ..Model::default() },
            Reason::BannedExact,
            0,
        );
        expect(
            &Model { ban: Some(Ban::new(1_000, 7, 1)), prefix, ..Model::default() },
            Reason::BannedPrefix,
            8,
        );
        expect(&Model { ban: Some(Ban::new(1_000, 7, 1)), ..Model::default() }, Reason::Passed, 0);
    }

    #[test]
    fn a_listed_prefix_is_dropped_behind_an_ended_ban() {
        let prefix = Some(PrefixBan { own: Ban::new(1_000, 8, 1), cover: Ban::NONE });
        expect(&Model { prefix, listed: true, ..Model::default() }, Reason::BannedPrefix, 0);
        expect(&Model { listed: true, allowed: true, ..Model::default() }, Reason::AllowedBan, 0);
    }

    #[test]
    fn the_allow_list_beats_a_ban_and_a_rate() {
        let ban = Some(Ban::new(2_000, 7, 1));
        expect(&Model { ban, allowed: true, ..Model::default() }, Reason::AllowedBan, 0);
        expect(
            &Model { admission: Admission::Over, allowed: true, ..Model::default() },
            Reason::AllowedRate,
            0,
        );
        expect(&Model { allowed: true, ..Model::default() }, Reason::Passed, 0);
    }

    #[test]
    fn a_dry_run_names_what_it_would_have_dropped() {
        let settings = Some(with(flag::DRY_RUN));
        let ban = Some(Ban::new(2_000, 7, 1));
        expect(&Model { settings, ban, ..Model::default() }, Reason::DryRunBannedExact, 0);
        expect(&Model { settings, ban, allowed: true, ..Model::default() }, Reason::AllowedBan, 0);
        expect(
            &Model { settings, admission: Admission::Over, ..Model::default() },
            Reason::DryRunRateExceeded,
            0,
        );
    }

    #[test]
    fn disarmed_goes_before_everything() {
        let ban = Some(Ban::new(2_000, 7, 1));
        expect(&Model { settings: Some(with(flag::BYPASS)), ban, ..Model::default() }, Reason::Bypassed, 0);
        let silent = |silent_after_ns| Some(Settings { silent_after_ns, ..Settings::default() });
        expect(&Model { settings: silent(999), ban, ..Model::default() }, Reason::DaemonSilent, 0);
        expect(&Model { settings: silent(1_000), ban, ..Model::default() }, Reason::BannedExact, 0);
        expect(&Model { settings: silent(0), ban, ..Model::default() }, Reason::BannedExact, 0);
        expect(&Model { settings: None, ban, ..Model::default() }, Reason::Unexpected, 0);
    }

    #[test]
    fn a_source_without_a_cell_is_not_limited_but_counted() {
        expect(&Model { admission: Admission::Untracked, ..Model::default() }, Reason::RateUntracked, 0);
    }
}
