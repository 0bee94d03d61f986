//! Escalation by rows: who is banned again, for how long, and when a prefix follows.

#![expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]

use proptest::prelude::*;

use super::*;

const FIRST: Duration = Duration::from_hours(4);

struct Bench {
    escalation: Escalation,
    now: Instant,
}

fn bench(change: impl FnOnce(&mut Config)) -> Bench {
    let mut config = Config::default();
    change(&mut config);
    assert_eq!(config.problem(FIRST.as_secs()), None);
    Bench { escalation: Escalation::new(config, FIRST), now: Instant::now() }
}

impl Bench {
    fn ban(&mut self, address: &str) -> Sentence {
        self.escalation.sentence(address.parse().unwrap(), self.now, 0.5)
    }

    fn good(&mut self, address: &str) {
        self.escalation.note_good(address.parse().unwrap(), self.now);
    }
}

#[test]
fn who_comes_back_is_banned_for_longer_up_to_a_bound_and_forgiven_in_the_end() {
    let mut bench = bench(|_| {});
    let hours: Vec<_> = (0..8).map(|_| bench.ban("203.0.113.7").ttl.as_secs() / 3600).collect();
    assert_eq!(hours, [4, 8, 16, 32, 64, 128, 168, 168]);
    assert_eq!(bench.ban("203.0.113.8").ttl, FIRST, "another source is no repeater");
    bench.now += Duration::from_hours(24 * 31);
    bench.escalation.forget_faded(bench.now);
    assert_eq!(bench.ban("203.0.113.7").ttl, FIRST);
}

#[test]
fn what_is_known_from_before_a_restart_counts() {
    let mut bench = bench(|_| {});
    bench.escalation.restore("203.0.113.7".parse().unwrap(), 2, bench.now);
    assert_eq!(bench.ban("203.0.113.7").ttl, FIRST * 4);
}

#[test]
fn bans_that_began_together_do_not_end_together() {
    let mut bench = bench(|_| {});
    let mut ends = Vec::new();
    for chance in [0.0, 0.5, 1.0] {
        let address = "203.0.113.9".parse().unwrap();
        bench.escalation.restore(Source::host(address), 1, bench.now);
        ends.push(bench.escalation.sentence(address, bench.now, chance).ttl.as_secs());
    }
    assert_eq!(ends, [25_920, 28_800, 31_680]);
}

#[test]
fn a_prefix_follows_when_enough_of_its_members_are_bad_and_few_are_good() {
    let mut bench = bench(|config| config.widen_after = 4);
    let widened: Vec<_> = (1..=4).map(|host| bench.ban(&format!("203.0.113.{host}")).widened).collect();
    assert_eq!(widened, [None, None, None, Some("203.0.113.0/24".parse().unwrap())]);
}

#[test]
fn the_same_bad_member_again_is_one() {
    let mut bench = bench(|config| config.widen_after = 2);
    assert!((0..9).all(|_| bench.ban("203.0.113.1").widened.is_none()));
}

#[test]
fn good_members_keep_a_prefix_from_being_banned() {
    let mut bench = bench(|config| config.widen_after = 4);
    bench.ban("203.0.113.1");
    for host in 10..12 {
        bench.good(&format!("203.0.113.{host}"));
    }
    let widened: Vec<_> = (2..=8).map(|host| bench.ban(&format!("203.0.113.{host}")).widened).collect();
    assert_eq!(widened.iter().position(Option::is_some), Some(6), "eight bad ones against two good ones");
}

#[test]
fn an_ipv6_attacker_who_rotates_is_met_by_his_64_then_his_56() {
    let mut bench = bench(|config| config.widen_after = 3);
    let mut widened = Vec::new();
    for net in 0..3 {
        for host in 1..=3 {
            widened.extend(bench.ban(&format!("2001:db8:0:{net}::{host}")).widened);
        }
    }
    let told: Vec<_> = widened.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["2001:db8::/64", "2001:db8:0:1::/64", "2001:db8::/56", "2001:db8::/56", "2001:db8::/56"]
    );
}

#[test]
fn what_was_long_ago_is_no_evidence() {
    let mut bench = bench(|config| config.widen_after = 2);
    bench.ban("203.0.113.1");
    bench.now += Duration::from_hours(25);
    assert_eq!(bench.ban("203.0.113.2").widened, None);
    assert!(bench.ban("203.0.113.3").widened.is_some());
}

#[test]
fn there_is_room_for_so_many_and_the_rest_is_counted() {
    let mut bench = bench(|config| config.tracked = 1024);
    for net in 0..2000_u32 {
        bench.escalation.sentence(IpAddr::from((net << 8 | 1).to_be_bytes()), bench.now, 0.5);
    }
    assert_eq!(bench.escalation.not_remembered(), 2 * (2000 - 1024));
}

proptest! {
    #[test]
    fn a_ban_is_never_shorter_than_half_the_first_nor_longer_than_the_longest(
        times in 0..200_u32, chance in -1.0..2.0_f64, factor in 1.0..100.0_f64, jitter in 0.0..0.5_f64,
    ) {
        let mut bench = bench(|config| { config.factor = factor; config.jitter = jitter; });
        let address = "203.0.113.7".parse().unwrap();
        bench.escalation.restore(Source::host(address), times, bench.now);
        let ttl = bench.escalation.sentence(address, bench.now, chance).ttl;
        prop_assert!(ttl * 2 >= FIRST && ttl <= Duration::from_hours(24 * 7), "{ttl:?}");
    }

    #[test]
    fn no_prefix_suffers_for_fewer_bad_members_than_asked_for(
        steps in proptest::collection::vec((0..40_u8, any::<bool>()), 0..200), after in 2..12_u32,
    ) {
        let mut bench = bench(|config| config.widen_after = after);
        let mut bad = std::collections::HashSet::new();
        for (host, is_bad) in steps {
            let address = format!("203.0.113.{host}");
            if is_bad {
                bad.insert(host);
                let widened = bench.ban(&address).widened;
                prop_assert!(widened.is_none() || bad.len() >= after as usize);
            } else {
                bench.good(&address);
            }
        }
    }
}
