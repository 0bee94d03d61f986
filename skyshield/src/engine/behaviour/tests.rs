//! The detectors over a virtual clock: what each claims, what it does not, and what holds for all.
#![expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]

use std::net::Ipv4Addr;
use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;

struct Bench {
    behaviour: Behaviour,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let config = Config { tracked: 1024, ..Config::default() };
        Self { behaviour: Behaviour::new(config, Key::new([7; 16]), now), now }
    }

    fn after(&mut self, secs: u64) -> &mut Self {
        self.now += Duration::from_secs(secs);
        self
    }

    fn signal(&self, source: u32, path: u64, status: u16) -> Signal {
        Signal {
            address: Ipv4Addr::from_bits(0xcb00_7100 + source).into(),
            at: self.now,
            status,
            traits: Traits::default(),
            site: 1,
            path: Key::new([1; 16]).hash(&[&path.to_le_bytes()]),
            series: None,
            value: path,
            login: None,
            account: None,
        }
    }

    fn page(&mut self, source: u32, path: u64, status: u16) -> Claims {
        let signal = self.signal(source, path, status);
        self.behaviour.observe(&signal)
    }

    fn login(&mut self, source: u32, account: u64, succeeded: bool) -> Claims {
        let status = if succeeded { 303 } else { 401 };
        let hash = NonZeroU64::new(Key::new([2; 16]).hash(&[&account.to_le_bytes()]));
        let signal = Signal {
            traits: Traits::LOGIN.and(Traits::WRITES),
            login: Some(succeeded),
            account: hash,
            ..self.signal(source, 1, status)
        };
        self.behaviour.observe(&signal)
    }
}

#[test]
fn a_forgotten_password_is_no_attack_and_guessing_is() {
    let mut bench = Bench::new();
    let forgot = (0..8).map(|_| bench.after(40).login(1, 1, false)).last().unwrap();
    assert!(forgot.of(Detector::LoginGuessing, bench.now) < 0.5);
    let in_at_last = bench.after(60).login(1, 1, true);
    assert!(in_at_last.of(Detector::LoginGuessing, bench.now) < 0.05, "a success makes up for it");
    let guesses = (0..30).map(|_| bench.after(60).login(2, 1, false)).last().unwrap();
    assert!(guesses.of(Detector::LoginGuessing, bench.now) > 0.8);
}

#[test]
fn an_office_logs_in_behind_one_address() {
    let mut bench = Bench::new();
    for person in 0..200 {
        if person % 5 == 0 {
            bench.after(30).login(1, person, false);
        }
        let claims = bench.after(30).login(1, person, true);
        assert!(claims.worst(bench.now) < 0.1, "{person}: {claims:?}");
    }
}

#[test]
fn stolen_passwords_are_told_by_their_many_accounts() {
    let mut bench = Bench::new();
    let claims = (0..14).map(|account| bench.after(90).login(1, account, false)).last().unwrap();
    assert!(claims.of(Detector::LoginStuffing, bench.now) > 0.85, "{claims:?}");
}

#[test]
fn many_sources_that_only_fail_are_a_campaign_and_each_is_told_sooner() {
    let mut bench = Bench::new();
    let alone = (0..4).map(|account| bench.after(90).login(900, account, false)).last().unwrap();
    assert!(alone.worst(bench.now) < 0.5, "{alone:?}");
    for source in 0..120 {
        bench.after(5).login(source, u64::from(source), false);
    }
    let honest = bench.login(800, 800, false);
    assert!(honest.worst(bench.now) < 0.5, "one slip is one slip, whoever attacks: {honest:?}");
    let claims = (0..5).map(|account| bench.after(90).login(1, 1000 + account, false)).last().unwrap();
    assert!(claims.of(Detector::LoginStuffing, bench.now) > 0.85, "{claims:?}");
}

#[test]
fn an_account_that_many_fail_at_is_a_hint_against_the_next() {
    let mut bench = Bench::new();
    for source in 0..20 {
        bench.after(5).login(source, 7, false);
    }
    let claims = bench.login(500, 7, false);
    let sure = claims.of(Detector::LoginTarget, bench.now);
    assert!((0.4..0.5).contains(&sure), "{claims:?}");
    let owner = bench.login(500, 7, true);
    assert!(owner.is_empty(), "its owner gets in: {owner:?}");
}

#[test]
fn a_slow_scanner_is_told_and_a_crawler_is_not() {
    let mut bench = Bench::new();
    let (mut scanner, mut crawler) = (Claims::default(), Claims::default());
    for page in 0..60 {
        scanner = bench.after(120).page(1, page, 404);
        for more in 0..8 {
            crawler = bench.page(2, 1000 + page * 8 + more, if more == 0 { 404 } else { 200 });
        }
        assert!(crawler.worst(bench.now) < 0.1, "{crawler:?}");
    }
    assert!(scanner.of(Detector::MissingPages, bench.now) > 0.9, "{scanner:?}");
    let same = (0..500).map(|_| bench.after(10).page(3, 1, 404)).last().unwrap();
    assert!(same.worst(bench.now) < 0.1, "one missing page is one, however often: {same:?}");
    assert!(crawler.is_empty() || crawler.worst(bench.now) < 0.1);
}

#[test]
fn what_is_missing_for_everybody_is_nobodys_fault() {
    let mut bench = Bench::new();
    let mut worst: f32 = 0.0;
    for page in 0..40 {
        for source in 0..50 {
            bench.page(source, page, 404);
        }
        let claims = bench.after(20).page(60, page, 404);
        worst = worst.max(claims.worst(bench.now));
    }
    assert!(worst < 0.8, "{worst}");
}

#[test]
fn numbers_tried_one_after_the_other_are_told_by_what_they_miss() {
    let mut bench = Bench::new();
    let mut last = [Claims::default(); 2];
    for number in 0..120 {
        for (at, status) in [(0, if number % 2 == 0 { 404 } else { 200 }), (1, 200)] {
            let series = Some((9, number));
            let source = u32::try_from(at).unwrap();
            let signal = Signal { series, ..bench.after(5).signal(source, number, status) };
            last[at] = bench.behaviour.observe(&signal);
        }
    }
    assert!(last[0].of(Detector::Enumeration, bench.now) > 0.6, "{:?}", last[0]);
    assert!(last[1].is_empty(), "a reader of all pages that are there: {:?}", last[1]);
}

#[test]
fn cards_that_are_tried_out_are_told_and_a_form_sent_again_is_not() {
    let mut bench = Bench::new();
    let (mut tester, mut stuck) = (Claims::default(), Claims::default());
    for card in 0..30 {
        let signal = Signal { traits: Traits::WRITES, ..bench.after(60).signal(1, card, 402) };
        tester = bench.behaviour.observe(&signal);
        let signal = Signal { traits: Traits::WRITES, ..bench.signal(2, 1, 422) };
        stuck = bench.behaviour.observe(&signal);
    }
    assert!(tester.of(Detector::ValueGuessing, bench.now) > 0.9, "{tester:?}");
    assert!(stuck.is_empty(), "{stuck:?}");
}

#[test]
fn a_flood_and_many_sites_are_hints_and_well_known_pages_more() {
    let mut bench = Bench::new();
    let mut flood = Claims::default();
    for request in 0..4000_u64 {
        if request % 200 == 0 {
            bench.after(1);
        }
        flood = bench.page(1, request % 10, 200);
    }
    let sure = flood.of(Detector::Flood, bench.now);
    assert!((0.5..0.7).contains(&sure), "{flood:?}");
    let mut probing = Claims::default();
    for site in 0..8 {
        let signal = Signal { site, traits: Traits::WELL_KNOWN, ..bench.signal(2, site, 404) };
        probing = bench.behaviour.observe(&signal);
    }
    assert!(probing.of(Detector::SitesProbing, bench.now) > 0.5, "{probing:?}");
    assert!(probing.of(Detector::WellKnownPages, bench.now) > 0.85, "{probing:?}");
}

#[test]
fn claims_fade_by_half_every_six_hours() {
    let mut bench = Bench::new();
    let claims = (0..60).map(|page| bench.after(60).page(1, page, 404)).last().unwrap();
    let (now, later) = (claims.worst(bench.now), claims.worst(bench.now + Duration::from_hours(6)));
    assert!((later * 2.0 - now).abs() < 1e-3);
}

#[test]
fn a_crowd_of_newcomers_does_not_free_whoever_is_suspicious() {
    let mut bench = Bench::new();
    for page in 0..60 {
        bench.after(30).page(1, page, 404);
    }
    for source in 0..20_000 {
        bench.page(1000 + source, 1, 200);
    }
    assert!(bench.behaviour.tracked() <= 1024 && bench.behaviour.evicted() > 18_000);
    let claims = bench.page(1, 100, 404);
    assert!(claims.of(Detector::MissingPages, bench.now) > 0.9, "{claims:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_comes_claims_are_bounded_and_the_table_too(
        rows in proptest::collection::vec((0_u32..3000, 0_u64..50, 0_u16..700, 0_u64..100_000, any::<(u8, bool)>()), 0..400),
    ) {
        let mut bench = Bench::new();
        for (source, path, status, pause, (kind, flag)) in rows {
            let traits = match kind % 4 {
                0 => Traits::LOGIN,
                1 => Traits::WRITES,
                2 => Traits::WELL_KNOWN,
                _ => Traits::default(),
            };
            let signal = Signal {
                traits,
                login: Some(flag),
                series: flag.then_some((path, u64::MAX - pause)),
                account: NonZeroU64::new(path),
                ..bench.after(pause).signal(source, path, status)
            };
            let claims = bench.behaviour.observe(&signal);
            for (_, sure) in claims.at(bench.now) {
                prop_assert!((0.0..=0.951).contains(&sure));
            }
        }
        prop_assert!(bench.behaviour.tracked() <= 1024);
    }

    #[test]
    fn more_failures_never_make_a_source_look_better(failures in 1_u64..40, more in 1_u64..40) {
        let mut bench = Bench::new();
        let before = (0..failures).map(|account| bench.login(1, account, false)).last().unwrap().worst(bench.now);
        let after = (0..more).map(|account| bench.login(1, failures + account, false)).last().unwrap().worst(bench.now);
        prop_assert!(after + 1e-6 >= before);
    }

    #[test]
    fn success_alone_is_never_held_against_anybody(successes in 1_u64..200, pages in 0_u64..200) {
        let mut bench = Bench::new();
        for account in 0..successes {
            prop_assert!(bench.after(1).login(1, account, true).is_empty());
        }
        for page in 0..pages {
            prop_assert!(bench.after(1).page(1, page, 200).is_empty());
        }
    }
}
