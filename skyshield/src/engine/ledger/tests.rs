//! The ledger by rows: what is asked, what comes out.

#![expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::engine::never_ban::Protection;

struct Bench {
    ledger: Ledger,
    view: Arc<View>,
    start: Instant,
    now: Instant,
}

impl Default for Bench {
    fn default() -> Self {
        let view = Arc::<View>::default();
        let now = Instant::now();
        Self {
            ledger: Ledger::new(Capacity { bans: 4, prefixes: 2 }, Arc::clone(&view)),
            view,
            start: now,
            now,
        }
    }
}

fn source(text: &str) -> Source {
    text.parse().unwrap()
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

impl Bench {
    fn ask(&mut self, text: &str, origin: Origin, ttl: Option<Duration>) -> Result<Banned, Rejected> {
        let reason = "test".into();
        let layer = Layer::Packet;
        let new = NewBan {
            source: source(text),
            origin,
            layer,
            reason,
            ttl,
            comment: None,
            incident: None,
            asked_at: UNIX_EPOCH,
            force: false,
        };
        self.ledger.ban(new, self.now)
    }

    fn ban(&mut self, text: &str, origin: Origin, ttl: Duration) -> Banned {
        self.ask(text, origin, Some(ttl)).unwrap()
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.ledger.handle_timeout(self.now);
    }

    /// Effects in short: `record 203.0.113.7`, `install 203.0.113.7 600`, `remove …`, `close 1 lifted`.
    fn effects(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.ledger.next_effect())
            .map(|effect| match effect {
                Effect::Record { decision, durable } => {
                    format!("record{} {}", if durable { "!" } else { "" }, decision.source)
                }
                Effect::Install { source, decision } => match decision.until {
                    Some(until) => format!("install {source} {}", (until - self.start).as_secs()),
                    None => format!("install {source} for good"),
                },
                Effect::Remove { source } => format!("remove {source}"),
                Effect::Shape { source, .. } => format!("shape {source}"),
                Effect::Close { id, cause, durable, .. } => {
                    format!("close{} {id} {}", if durable { "!" } else { "" }, cause.name())
                }
            })
            .collect()
    }

    fn is_banned(&self, text: &str) -> bool {
        self.view.ban_of(text.parse().unwrap(), self.now).is_some()
    }
}

#[test]
fn a_detector_ban_is_enforced_before_it_is_recorded() {
    let mut bench = Bench::default();
    bench.ban("203.0.113.7", Origin::Detector, secs(600));
    assert_eq!(bench.effects(), ["install 203.0.113.7 600", "record 203.0.113.7"]);
    assert!(bench.is_banned("203.0.113.7"));
}

#[test]
fn an_operator_ban_is_recorded_before_it_is_enforced() {
    let mut bench = Bench::default();
    bench.ask("203.0.113.0/24", Origin::Operator, None).unwrap();
    assert_eq!(bench.effects(), ["record! 203.0.113.0/24", "install 203.0.113.0/24 for good"]);
    assert!(bench.is_banned("203.0.113.200") && !bench.is_banned("203.0.114.1"));
}

#[test]
fn an_operator_ban_outlives_a_detector_ban() {
    let mut bench = Bench::default();
    bench.ban("203.0.113.7", Origin::Operator, secs(600));
    let kept = bench.ban("203.0.113.7", Origin::Detector, secs(5));
    assert!(matches!(kept, Banned::Kept(_)));
    bench.advance(secs(10));
    assert_eq!(bench.effects(), ["record! 203.0.113.7", "install 203.0.113.7 600"]);
    assert!(bench.is_banned("203.0.113.7"));
}

#[test]
fn an_operator_takes_the_place_of_a_detector() {
    let mut bench = Bench::default();
    bench.ban("203.0.113.7", Origin::Detector, secs(600));
    bench.effects();
    bench.ban("203.0.113.7", Origin::Operator, secs(60));
    assert_eq!(bench.effects(), ["close 1 replaced", "record! 203.0.113.7", "install 203.0.113.7 60"]);
    bench.advance(secs(61));
    assert_eq!(bench.effects(), ["close 2 expired", "remove 203.0.113.7"]);
    assert!(!bench.is_banned("203.0.113.7"));
}

#[test]
fn a_detector_ban_only_ever_gets_longer() {
    let mut bench = Bench::default();
    bench.ban("203.0.113.7", Origin::Detector, secs(600));
    bench.ban("203.0.113.7", Origin::Detector, secs(60));
    bench.advance(secs(100));
    bench.ban("203.0.113.7", Origin::Detector, secs(600));
    let installs: Vec<_> =
        bench.effects().into_iter().filter(|effect| effect.starts_with("install")).collect();
    assert_eq!(installs, ["install 203.0.113.7 600", "install 203.0.113.7 600", "install 203.0.113.7 700"]);
}

#[test]
fn a_lift_is_on_disk_before_it_is_answered() {
    let mut bench = Bench::default();
    bench.ban("2001:db8::1", Origin::Detector, secs(600));
    bench.effects();
    assert!(bench.ledger.lift(source("2001:db8::1"), bench.now).is_some());
    assert_eq!(bench.effects(), ["close! 1 lifted", "remove 2001:db8::1"]);
    assert_eq!(bench.ledger.lift(source("2001:db8::1"), bench.now), None);
    assert_eq!(bench.ledger.poll_timeout(), None);
}

#[test]
fn a_ban_known_by_a_proxys_word_stays_out_of_the_kernel() {
    let mut bench = Bench::default();
    let new = NewBan {
        source: source("203.0.113.7"),
        origin: Origin::Detector,
        layer: Layer::Request,
        reason: "test".into(),
        ttl: Some(secs(60)),
        comment: None,
        incident: None,
        asked_at: UNIX_EPOCH,
        force: false,
    };
    bench.ledger.ban(new, bench.now).unwrap();
    assert_eq!(bench.effects(), ["record 203.0.113.7"]);
    assert!(bench.is_banned("203.0.113.7"));
    bench.advance(secs(61));
    assert_eq!(bench.effects(), ["close 1 expired"]);
}

#[test]
fn whom_the_never_ban_set_protects_is_not_banned_and_is_let_go() {
    let mut bench = Bench::default();
    bench.ban("198.51.100.9", Origin::Detector, secs(600));
    bench.effects();
    let set = NeverBan::new([(source("198.51.100.0/24"), Protection::AllowList)]);
    bench.ledger.set_never_ban(Arc::new(set), bench.now);
    assert_eq!(bench.effects(), ["close 1 protected", "remove 198.51.100.9"]);
    let refused = bench.ask("198.51.100.9", Origin::Operator, None).unwrap_err();
    assert_eq!(refused.to_string(), "198.51.100.9 is never banned: it is on the allow list");
    assert_eq!(bench.effects(), <[&str; 0]>::default());
}

#[test]
fn a_wider_ban_spares_the_protected_inside_it() {
    let mut bench = Bench::default();
    let set = NeverBan::new([(source("198.51.100.9"), Protection::OperatorSession)]);
    bench.ledger.set_never_ban(Arc::new(set), bench.now);
    bench.ban("198.51.100.0/24", Origin::Operator, secs(60));
    assert!(bench.is_banned("198.51.100.8") && !bench.is_banned("198.51.100.9"));
}

#[test]
fn a_share_of_the_internet_is_banned_by_force_only() {
    let mut bench = Bench::default();
    for wide in ["0.0.0.0/0", "128.0.0.0/7", "::/0", "2000::/18"] {
        assert!(matches!(bench.ask(wide, Origin::Operator, None), Err(Rejected::TooWide(_))), "{wide}");
    }
    assert!(bench.ask("10.0.0.0/8", Origin::Operator, None).is_ok());
}

#[test]
fn a_full_ledger_says_so_and_evicts_nothing() {
    let mut bench = Bench::default();
    for host in 1..=4 {
        bench.ban(&format!("203.0.113.{host}"), Origin::Operator, secs(600));
    }
    assert_eq!(bench.ask("203.0.113.5", Origin::Operator, None), Err(Rejected::Full { capacity: 4 }));
    assert!(bench.ask("203.0.113.4", Origin::Operator, None).is_ok(), "one in force may still be changed");
    assert_eq!(bench.ledger.len(), 4);
}

#[test]
fn a_full_table_of_prefixes_says_so_and_leaves_room_for_all_else() {
    let mut bench = Bench::default();
    for prefix in ["203.0.113.0/30", "203.0.113.4/30"] {
        bench.ban(prefix, Origin::Detector, secs(600));
    }
    bench.effects();
    let full = Err(Rejected::NoRoom { family: "IPv4", capacity: 2 });
    assert_eq!(bench.ask("203.0.113.8/30", Origin::Operator, None), full);
    assert_eq!(bench.ask("203.0.113.8/30", Origin::Detector, Some(secs(5))), full);
    assert_eq!(bench.effects(), <[&str; 0]>::default(), "nothing is begun");
    assert!(bench.ask("203.0.113.4/30", Origin::Operator, None).is_ok(), "one in force may still be changed");
    bench.ban("2001:db8::/48", Origin::Operator, secs(600));
    bench.ban("203.0.113.9", Origin::Operator, secs(600));
    bench.ledger.lift(source("203.0.113.0/30"), bench.now);
    assert!(bench.ask("203.0.113.8/30", Origin::Operator, None).is_ok(), "what has ended leaves its room");
}

#[test]
fn a_draft_for_which_there_is_no_room_any_more_is_closed_for_that() {
    let mut bench = Bench::default();
    let draft = |bench: &mut Bench, text: &str| {
        let Ok(Banned::Made(made)) = bench.ask(text, Origin::Operator, None) else { panic!("{text}") };
        bench.ledger.lift(made.source, bench.now);
        made
    };
    let late = draft(&mut bench, "203.0.113.8/30");
    for prefix in ["203.0.113.0/30", "203.0.113.4/30"] {
        bench.ban(prefix, Origin::Detector, secs(600));
    }
    bench.effects();
    assert_eq!(bench.ledger.enforce(&late, bench.now), Err(Ended::NoRoom));
    assert_eq!(bench.effects(), ["close 1 no_room"]);
    assert!(!bench.is_banned("203.0.113.8"));
}

#[test]
fn ids_go_on_after_a_restart() {
    let mut bench = Bench::default();
    bench.ledger.restore(&Decision {
        id: DecisionId(41),
        source: source("203.0.113.1"),
        origin: Origin::Detector,
        layer: Layer::Packet,
        reason: "test".into(),
        until: None,
        comment: None,
        incident: None,
        made_at: UNIX_EPOCH,
        enforced_after: None,
    });
    assert_eq!(bench.effects(), <[&str; 0]>::default());
    assert_eq!(bench.ban("203.0.113.2", Origin::Detector, secs(1)).decision().id, DecisionId(42));
}

#[derive(Clone, Debug)]
enum Step {
    Ban { host: u8, prefix: u8, origin: usize, secs: u64 },
    Lift { host: u8, prefix: u8 },
    Protect { host: u8 },
    Advance { secs: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let prefix = prop_oneof![Just(32_u8), Just(30), Just(28)];
    prop_oneof![
        4 => (0..16_u8, prefix.clone(), 0..3_usize, 1..50_u64)
            .prop_map(|(host, prefix, origin, secs)| Step::Ban { host, prefix, origin, secs }),
        1 => (0..16_u8, prefix).prop_map(|(host, prefix)| Step::Lift { host, prefix }),
        1 => (0..16_u8).prop_map(|host| Step::Protect { host }),
        2 => (0..30_u64).prop_map(|secs| Step::Advance { secs }),
    ]
}

proptest! {
    /// Whoever carries out the effects in order holds exactly what the ledger holds, the view says
    /// the same, and nobody protected is ever refused.
    #[test]
    fn effects_keep_the_kernel_equal_to_the_ledger(steps in proptest::collection::vec(step(), 1..60)) {
        let mut bench = Bench::default();
        let mut kernel: HashMap<Source, Option<Instant>> = HashMap::new();
        let mut protected = Vec::new();
        for step in steps {
            match step {
                Step::Ban { host, prefix, origin, secs: ttl } => {
                    let _ = bench.ask(&format!("203.0.113.{host}/{prefix}"), Origin::ALL[origin], Some(secs(ttl)));
                }
                Step::Lift { host, prefix } => {
                    bench.ledger.lift(source(&format!("203.0.113.{host}/{prefix}")), bench.now);
                }
                Step::Protect { host } => {
                    protected.push((source(&format!("203.0.113.{host}")), Protection::AllowList));
                    bench.ledger.set_never_ban(Arc::new(NeverBan::new(protected.clone())), bench.now);
                }
                Step::Advance { secs: by } => bench.advance(secs(by)),
            }
            while let Some(effect) = bench.ledger.next_effect() {
                match effect {
                    Effect::Install { source, decision } => { kernel.insert(source, decision.until); }
                    Effect::Remove { source } => { kernel.remove(&source); }
                    Effect::Record { .. } | Effect::Close { .. } | Effect::Shape { .. } => {}
                }
            }
            let ledger: HashMap<_, _> = bench.ledger.decisions().map(|held| (held.source, held.until)).collect();
            prop_assert_eq!(&kernel, &ledger);
            let numbered: Vec<_> = bench.ledger.decisions_after(None).map(|held| held.id).collect();
            prop_assert!(numbered.is_sorted() && numbered.len() == bench.ledger.len());
            let by_origin: usize = Origin::ALL.into_iter().map(|origin| bench.ledger.count_of(origin)).sum();
            prop_assert_eq!(by_origin, bench.ledger.len());
            prop_assert!(bench.ledger.len() <= 4);
            prop_assert!(ledger.keys().filter(|source| !source.is_host()).count() <= 2);
            for host in 0..16_u8 {
                let address = IpAddr::from([203, 0, 113, host]);
                let is_protected = protected.iter().any(|(source, _)| source.covers(Source::host(address)));
                let is_covered = ledger.keys().any(|source| source.covers(Source::host(address)));
                let is_refused = bench.view.ban_of(address, bench.now).is_some();
                prop_assert_eq!(is_refused, is_covered && !is_protected);
            }
        }
    }
}
