//! The order of judgement, over tables with one answer each.

use skyshield_common::{Ban, PrefixBan, flag};

use super::*;
use crate::quick::{Quick, open_at, quick};

/// Tables with one answer each.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "answers, each to another question")]
pub(crate) struct Model {
    pub(crate) settings: Option<Settings>,
    pub(crate) now_ns: u64,
    pub(crate) ban: Option<Ban>,
    pub(crate) prefix: Option<PrefixBan>,
    pub(crate) listed: bool,
    pub(crate) policy: Option<Policy>,
    pub(crate) act: Option<Act>,
    pub(crate) allowed: bool,
    pub(crate) admission: Admission,
    pub(crate) at_a_glance: bool,
    pub(crate) was_there: bool,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            settings: Some(with(0)),
            now_ns: 1_000,
            ban: None,
            prefix: None,
            listed: false,
            policy: None,
            act: None,
            allowed: false,
            admission: Admission::Within,
            at_a_glance: false,
            was_there: false,
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
    fn near_host(&self, _: &Address, _: &Settings) -> bool {
        self.ban.is_some()
    }
    fn near_prefix(&self, _: &Address, _: &Settings) -> bool {
        self.prefix.is_some() || self.listed || self.policy.is_some()
    }
    fn bans(&self, _: &Address, _: &Settings, now_ns: u64) -> bool {
        self.ban.is_some_and(|ban| ban.holds(now_ns))
    }
    fn glance(&self, source: &Address, settings: &Settings, now_ns: u64) -> Glance {
        match (self.at_a_glance, self.bans(source, settings, now_ns)) {
            (true, true) => Glance::Banned,
            (true, false) if self.ban.is_none() => Glance::Clear,
            (true | false, _) => Glance::Unclear,
        }
    }
    fn prefix_ban(&self, _: &Address, now_ns: u64) -> Option<u64> {
        self.prefix?.in_force(now_ns).map(|ban| ban.decision)
    }
    fn listed(&self, _: &Address, _: &Settings) -> bool {
        self.listed
    }
    fn place(&self, _: &Address, _: u64) -> u32 {
        u32::from(self.policy.is_some())
    }
    fn policy(&self, _: u64, _: u32) -> Policy {
        self.policy.unwrap_or_default()
    }
    fn rule(&self, _: &Address, _: Layer4, _: u64) -> Option<(u32, Act)> {
        self.act.map(|act| (7, act))
    }
    fn hit(&self, _: u32, _: u64) {}
    fn is_new_flow(&self, _: u64, _: u64, _: &Settings) -> bool {
        true
    }
    fn allowed(&self, _: &Address, _: &Settings) -> bool {
        self.allowed
    }
    fn shape(&self, _: &Address) -> Option<Rate> {
        None
    }
    fn admit(&self, _: u64, _: u64, _: u64, _: u64) -> Admission {
        self.admission
    }
    fn epoch(&self) -> u64 {
        0
    }
    fn after(&self, _: u64, source: &Address) -> Address {
        *source
    }
    type Home = ();
    fn home(&self, _: u64) {}
    fn is_cleared(&self, (): (), _: u64) -> bool {
        let is_clear = self.ban.is_none() && self.prefix.is_none() && !self.listed && self.policy.is_none();
        self.was_there && is_clear
    }
    fn clear(&self, (): (), _: u64, _: u64) {}
    fn due(&self, (): (), _: u64, _: u64, _: Rate) -> Due {
        if self.admission == Admission::Over { Due::OVER } else { Due::UNKNOWN }
    }
    fn admit_by(&self, (): (), _: u64, _: u64, _: &Settings, _: Due) -> Admission {
        self.admission
    }
}

/// GRE, of which nothing more is read.
pub(crate) const FRAME: [u8; 34] = {
    let mut frame = [0; 34];
    (frame[12], frame[14], frame[17], frame[22], frame[23]) = (0x08, 0x45, 20, 64, 47);
    (frame[26], frame[28], frame[29]) = (203, 113, 7);
    frame
};

fn with(flags: u64) -> Settings {
    let spared = if flags & flag::DRY_RUN == 0 { 0 } else { u64::MAX };
    let settings = Settings { flags, spared, places: 1, rules: 1, ..Settings::default() };
    settings.with_rate(Limit::Packets, Rate { interval: 1, tolerance: 1 })
}

/// What the short way says, where it is open.
pub(crate) fn quickly(frame: &[u8], model: &Model) -> Quick {
    let allowed = model.allowed.into();
    let settings =
        model.settings.map(|settings| Settings { clock_offset_ns: 1, allowed, ..settings }.summed_up());
    let model = Model { settings, ..*model };
    open_at(&model).map_or(Quick::Undecided, |now_ns| quick(frame, &model, now_ns))
}

fn expect(model: &Model, reason: Reason, decision: u64) {
    let outcome = screen(FRAME.as_slice(), model);
    assert_eq!((outcome.reason, outcome.decision), (reason, decision));
    assert_eq!(quickly(FRAME.as_slice(), model).reason().unwrap_or(reason), reason);
}

#[test]
fn an_exact_ban_goes_before_a_prefix_ban_and_ends_by_itself() {
    let prefix = Some(PrefixBan::new(Ban::new(2_000, 8, 1), Ban::NONE));
    expect(&Model { ban: Some(Ban::new(2_000, 7, 1)), prefix, ..Model::default() }, Reason::BannedExact, 0);
    expect(&Model { ban: Some(Ban::new(1_000, 7, 1)), prefix, ..Model::default() }, Reason::BannedPrefix, 8);
    expect(&Model { ban: Some(Ban::new(1_000, 7, 1)), ..Model::default() }, Reason::Passed, 0);
}

#[test]
fn a_listed_prefix_is_dropped_behind_an_ended_ban() {
    let prefix = Some(PrefixBan::new(Ban::new(1_000, 8, 1), Ban::NONE));
    expect(&Model { prefix, listed: true, ..Model::default() }, Reason::BannedPrefix, 0);
    expect(&Model { listed: true, allowed: true, ..Model::default() }, Reason::AllowedBan, 0);
}

#[test]
fn the_allow_list_beats_a_ban_and_a_rate() {
    let ban = Some(Ban::new(2_000, 7, 1));
    expect(&Model { ban, allowed: true, ..Model::default() }, Reason::AllowedBan, 0);
    expect(&Model { admission: Admission::Over, allowed: true, ..Model::default() }, Reason::AllowedRate, 0);
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
    let bypassed = |bypass_until_ns| Some(Settings { bypass_until_ns, ..Settings::default() });
    expect(&Model { settings: bypassed(1_001), ban, ..Model::default() }, Reason::Bypassed, 0);
    expect(&Model { settings: bypassed(1_000), ban, ..Model::default() }, Reason::BannedExact, 0);
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

#[test]
fn a_place_is_banned_or_has_its_rate_or_is_only_watched() {
    let policy = |act| Some(Policy { act, rate: Rate { interval: 1, tolerance: 1 } });
    let banned = policy(place::act::BAN);
    expect(&Model { policy: banned, ..Model::default() }, Reason::BannedPlace, 0);
    expect(&Model { policy: banned, allowed: true, ..Model::default() }, Reason::AllowedBan, 0);
    let watched = policy(place::act::BAN | place::act::DRY_RUN);
    expect(&Model { policy: watched, ..Model::default() }, Reason::DryRunBannedPlace, 0);
    let over = |policy| Model { policy, admission: Admission::Over, ..Model::default() };
    expect(&over(policy(0)), Reason::PlaceRateExceeded, 0);
    expect(&over(policy(place::act::DRY_RUN)), Reason::DryRunPlaceRateExceeded, 0);
    expect(&Model { policy: policy(0), ..Model::default() }, Reason::Passed, 0);
}

#[test]
fn a_rule_does_what_it_says_and_only_counts_in_its_dry_run() {
    let act = |kind| Some(Act { kind, rate: Rate { interval: 1, tolerance: 1 } });
    let model = |kind| Model { act: act(kind), ..Model::default() };
    expect(&model(kind::DROP), Reason::RuleDropped, 0);
    expect(&model(kind::DROP | kind::DRY_RUN), Reason::DryRunRuleDropped, 0);
    expect(&model(kind::PASS), Reason::Passed, 0);
    expect(&model(kind::TAP), Reason::Tapped, 0);
    expect(&model(kind::TAP | kind::DRY_RUN), Reason::Passed, 0);
    expect(&model(kind::LIMIT), Reason::Passed, 0);
    let over = Model { admission: Admission::Over, ..model(kind::LIMIT) };
    expect(&over, Reason::RuleRateExceeded, 0);
    expect(&Model { allowed: true, ..over }, Reason::AllowedRate, 0);
}

#[test]
fn one_reason_alone_may_be_spared() {
    let settings = Some(Settings { spared: Reason::RateExceeded.bit(), ..with(0) });
    let over = Model { settings, admission: Admission::Over, ..Model::default() };
    expect(&over, Reason::DryRunRateExceeded, 0);
    let ban = Some(Ban::new(2_000, 7, 1));
    expect(&Model { ban, ..over }, Reason::BannedExact, 0);
}

#[test]
fn each_rate_has_its_reason() {
    for limit in Limit::ALL {
        let rate = Rate { interval: 1, tolerance: 1 };
        let settings = Some(Settings::default().with_rate(limit, rate));
        let outcome =
            screen(FRAME.as_slice(), &Model { settings, admission: Admission::Over, ..Model::default() });
        // GRE is of no class.
        let counts =
            matches!(limit, Limit::Packets | Limit::Bytes | Limit::NetworkPackets | Limit::NetworkBytes);
        let expected = if counts { limit.exceeded() } else { Reason::Passed };
        assert_eq!(outcome.reason, expected, "{limit:?}");
    }
}
