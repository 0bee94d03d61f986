//! The one order in which a packet is judged.

use skyshield_common::{Address, Ban, PrefixBan, RateKey, Reason, Settings, Verdict, flag};

use crate::look::look;
use crate::parse::{Frame, Packet};

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

/// What the screen asks of the kernel's maps, or of a model of them.
pub trait Tables {
    /// The parameters in force; `None` cannot happen.
    fn settings(&self) -> Option<Settings>;
    /// The time. Reading it costs more than all else on an honest packet's way: it is asked for
    /// only where a deadline or a rate stands to be compared with it.
    fn now_ns(&self) -> u64;
    /// The ban of exactly this address, ended or not.
    fn ban(&self, source: &Address) -> Option<Ban>;
    /// The ban of the longest banned prefix around this address, ended or not.
    fn prefix_ban(&self, source: &Address) -> Option<PrefixBan>;
    /// Whether the address is on the allow list.
    fn allowed(&self, source: &Address) -> bool;
    /// Takes one packet out of the source's bucket.
    fn admit(&self, key: &RateKey, now_ns: u64, interval_ns: u64, tolerance_ns: u64) -> Admission;
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
pub fn screen<F: Frame + ?Sized, T: Tables>(
    frame: &F,
    parsed: &Result<Packet, Reason>,
    tables: &T,
) -> Outcome {
    let Some(settings) = tables.settings() else { return Outcome::of(Reason::Unexpected) };
    if settings.has(flag::BYPASS) {
        return Outcome::of(Reason::Bypassed);
    }
    if settings.silent_after_ns != 0 && tables.now_ns() > settings.silent_after_ns {
        return Outcome::of(Reason::DaemonSilent);
    }
    let packet = match parsed {
        Ok(packet) => packet,
        Err(reason) => {
            let reason = &frame.one_of_many(*reason);
            let drops = settings.drops(*reason) && !settings.has(flag::DRY_RUN);
            return Outcome::of(if drops { reason.dropped() } else { *reason });
        }
    };
    let mut outcome = judge(frame, packet, &settings, tables);
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
    settings: &Settings,
    tables: &T,
) -> Outcome {
    let mut now_ns = 0;
    if let Some(ban) = tables.ban(&packet.source) {
        now_ns = tables.now_ns();
        if ban.holds(now_ns) {
            return Outcome { reason: Reason::BannedExact, decision: ban.decision, now_ns };
        }
    }
    if let Some(entry) = tables.prefix_ban(&packet.source) {
        if now_ns == 0 {
            now_ns = tables.now_ns();
        }
        if let Some(ban) = entry.in_force(now_ns) {
            return Outcome { reason: Reason::BannedPrefix, decision: ban.decision, now_ns };
        }
    }
    let mut reason = Reason::Passed;
    if let Err(oddity) = look(frame, packet) {
        let oddity = frame.one_of_many(oddity);
        if settings.drops(oddity) {
            return Outcome { reason: oddity.dropped(), decision: 0, now_ns };
        }
        reason = oddity;
    }
    if settings.rate_interval_ns == 0 {
        return Outcome { reason, decision: 0, now_ns };
    }
    if now_ns == 0 {
        now_ns = tables.now_ns();
    }
    let key = packet.source.rate_key();
    match tables.admit(&key, now_ns, settings.rate_interval_ns, settings.rate_tolerance_ns) {
        Admission::Within => {}
        Admission::Over => reason = Reason::RateExceeded,
        Admission::Untracked => reason = Reason::RateUntracked,
    }
    Outcome { reason, decision: 0, now_ns }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables with one answer each.
    struct Model {
        settings: Option<Settings>,
        now_ns: u64,
        ban: Option<Ban>,
        prefix: Option<PrefixBan>,
        allowed: bool,
        admission: Admission,
    }

    impl Default for Model {
        fn default() -> Self {
            Self {
                settings: Some(Settings { rate_interval_ns: 1, ..Settings::default() }),
                now_ns: 1_000,
                ban: None,
                prefix: None,
                allowed: false,
                admission: Admission::Within,
            }
        }
    }

    impl Tables for Model {
        fn settings(&self) -> Option<Settings> {
            self.settings
        }
        fn now_ns(&self) -> u64 {
            self.now_ns
        }
        fn ban(&self, _: &Address) -> Option<Ban> {
            self.ban
        }
        fn prefix_ban(&self, _: &Address) -> Option<PrefixBan> {
            self.prefix
        }
        fn allowed(&self, _: &Address) -> bool {
            self.allowed
        }
        fn admit(&self, _: &RateKey, _: u64, _: u64, _: u64) -> Admission {
            self.admission
        }
    }

    const PACKET: Result<Packet, Reason> =
        Ok(Packet { source: Address::V4([203, 0, 113, 7]), header_at: 14, is_v6: false });

    /// A frame around it: GRE, of which nothing more is read.
    const FRAME: [u8; 34] = {
        let mut frame = [0; 34];
        (frame[14], frame[17], frame[22], frame[23]) = (0x45, 20, 64, 47);
        (frame[26], frame[28], frame[29]) = (203, 113, 7);
        frame
    };

    fn with(flags: u64) -> Settings {
        Settings { flags, rate_interval_ns: 1, ..Settings::default() }
    }

    fn expect(model: &Model, reason: Reason, decision: u64) {
        let outcome = screen(FRAME.as_slice(), &PACKET, model);
        assert_eq!((outcome.reason, outcome.decision), (reason, decision));
    }

    #[test]
    fn an_exact_ban_goes_before_a_prefix_ban_and_ends_by_itself() {
        let prefix = Some(PrefixBan { own: Ban::new(2_000, 8, 1), cover: Ban::NONE });
        expect(
            &Model { ban: Some(Ban::new(2_000, 7, 1)), prefix, ..Model::default() },
            Reason::BannedExact,
            7,
        );
        expect(
            &Model { ban: Some(Ban::new(1_000, 7, 1)), prefix, ..Model::default() },
            Reason::BannedPrefix,
            8,
        );
        expect(&Model { ban: Some(Ban::new(1_000, 7, 1)), ..Model::default() }, Reason::Passed, 0);
    }

    #[test]
    fn the_allow_list_beats_a_ban_and_a_rate() {
        let ban = Some(Ban::new(2_000, 7, 1));
        expect(&Model { ban, allowed: true, ..Model::default() }, Reason::AllowedBan, 7);
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
        expect(&Model { settings, ban, ..Model::default() }, Reason::DryRunBannedExact, 7);
        expect(&Model { settings, ban, allowed: true, ..Model::default() }, Reason::AllowedBan, 7);
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
        expect(&Model { settings: silent(1_000), ban, ..Model::default() }, Reason::BannedExact, 7);
        expect(&Model { settings: silent(0), ban, ..Model::default() }, Reason::BannedExact, 7);
        expect(&Model { settings: None, ban, ..Model::default() }, Reason::Unexpected, 0);
    }

    #[test]
    fn a_source_without_a_cell_is_not_limited_but_counted() {
        expect(&Model { admission: Admission::Untracked, ..Model::default() }, Reason::RateUntracked, 0);
    }
}
