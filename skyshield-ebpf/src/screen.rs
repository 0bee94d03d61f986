//! The one order in which a packet is judged.

use skyshield_common::{Address, Ban, PrefixBan, RateKey, Reason, Settings, Verdict, flag};

use crate::parse::Packet;

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

/// Judges a packet: disarmed, unreadable, banned, over its rate, allowed all the same, dry run.
#[inline(always)]
pub fn screen<T: Tables>(parsed: &Result<Packet, Reason>, tables: &T) -> Outcome {
    let Some(settings) = tables.settings() else { return Outcome::of(Reason::Unexpected) };
    if settings.has(flag::BYPASS) {
        return Outcome::of(Reason::Bypassed);
    }
    if settings.silent_after_ns != 0 && tables.now_ns() > settings.silent_after_ns {
        return Outcome::of(Reason::DaemonSilent);
    }
    let packet = match parsed {
        Ok(packet) => packet,
        Err(reason) => return Outcome::of(*reason),
    };
    let mut outcome = judge(&packet.source, &settings, tables);
    if outcome.reason.verdict() == Verdict::Pass {
        return outcome;
    }
    // Looked up only for a packet about to be dropped: the allow list costs honest packets nothing.
    if tables.allowed(&packet.source) {
        outcome.reason =
            if outcome.reason == Reason::RateExceeded { Reason::AllowedRate } else { Reason::AllowedBan };
    } else if settings.has(flag::DRY_RUN) {
        outcome.reason = outcome.reason.in_dry_run();
    }
    outcome
}

#[inline(always)]
fn judge<T: Tables>(source: &Address, settings: &Settings, tables: &T) -> Outcome {
    let mut now_ns = 0;
    if let Some(ban) = tables.ban(source) {
        now_ns = tables.now_ns();
        if ban.holds(now_ns) {
            return Outcome { reason: Reason::BannedExact, decision: ban.decision, now_ns };
        }
    }
    if let Some(entry) = tables.prefix_ban(source) {
        if now_ns == 0 {
            now_ns = tables.now_ns();
        }
        if let Some(ban) = entry.in_force(now_ns) {
            return Outcome { reason: Reason::BannedPrefix, decision: ban.decision, now_ns };
        }
    }
    if settings.rate_interval_ns == 0 {
        return Outcome { reason: Reason::Passed, decision: 0, now_ns };
    }
    if now_ns == 0 {
        now_ns = tables.now_ns();
    }
    let key = source.rate_key();
    let reason = match tables.admit(&key, now_ns, settings.rate_interval_ns, settings.rate_tolerance_ns) {
        Admission::Within => Reason::Passed,
        Admission::Over => Reason::RateExceeded,
        Admission::Untracked => Reason::RateUntracked,
    };
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
        Ok(Packet { source: Address::V4([203, 0, 113, 7]), protocol: 6, payload_at: 34 });

    fn with(flags: u64) -> Settings {
        Settings { flags, rate_interval_ns: 1, ..Settings::default() }
    }

    fn expect(model: &Model, reason: Reason, decision: u64) {
        let outcome = screen(&PACKET, model);
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
