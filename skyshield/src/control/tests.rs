//! The control task over a model of the kernel and a store on a real disk.

mod allows;
mod bench;
mod bypassed;
mod fronting;
mod full;
mod tuned;

use std::time::Duration;

use self::bench::{Host, by, by_operator, entry, eventually, incident, ip, row, secs, source};
use super::reconcile::look;
use super::*;
use crate::clock;
use crate::dataplane::{self, Enforcer as _, Entry};
use crate::engine::decision::{Ended, Layer, Origin};
use crate::engine::ledger::Rejected;
use crate::engine::never_ban::Protection;
use crate::engine::place::{PlaceAct, PlacePolicy, Places};
use crate::store::Record;

#[tokio::test]
async fn an_attack_bans_its_source_in_the_kernel_and_is_kept() {
    let host = Host::new();
    let daemon = host.start();
    let attack = incident("203.0.113.7", 0.95, false);
    daemon.control.report(attack.clone());
    let held = daemon.in_force().await;
    assert_eq!(host.kernel.ban_of("203.0.113.7"), Some(1));
    assert!(daemon.is_banned_at_the_doors("203.0.113.7"));
    let [decision] = held.as_slice() else { panic!("{held:?}") };
    assert_eq!((decision.incident, decision.layer), (Some(attack.id), Layer::Packet));
    assert_eq!(daemon.metrics.enforcement_lag.get_sample_count(), 1);
    let reader = daemon.opened.reader.clone();
    daemon.stop().await;
    let kept = reader.decisions_in_force(millis(clock::wall())).unwrap();
    assert_eq!(kept[0].incident, Some(attack.id.to_string()));
    assert!(kept[0].enforced_after_us.is_some(), "the lag is kept with the decision");
    assert_eq!(reader.incident(&attack.id.to_string()).unwrap().unwrap().address, "203.0.113.7");
}

#[tokio::test]
async fn a_refused_request_below_the_ban_threshold_is_kept_and_bans_nobody() {
    let host = Host::new();
    let daemon = host.start();
    let attack = incident("203.0.113.7", 0.85, false);
    daemon.control.report(attack.clone());
    assert_eq!(daemon.in_force().await, []);
    assert_eq!(host.kernel.ban_of("203.0.113.7"), None);
    assert!(daemon.view.standing(ip("203.0.113.7"), clock::now()).weight() > 0.0);
    let reader = daemon.opened.reader.clone();
    daemon.stop().await;
    assert!(reader.incident(&attack.id.to_string()).unwrap().is_some());
}

#[tokio::test]
async fn a_client_behind_a_trusted_proxy_is_banned_at_the_doors_only() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.report(incident("203.0.113.7", 0.95, true));
    assert_eq!(daemon.in_force().await[0].layer, Layer::Request);
    assert!(daemon.is_banned_at_the_doors("203.0.113.7"));
    assert_eq!(host.kernel.lock().entries().unwrap(), []);
}

#[tokio::test]
async fn a_protected_source_is_never_banned_whoever_asks() {
    let mut host = Host::new();
    host.never_ban = NeverBan::new([(source("203.0.113.0/24"), Protection::AllowList)]);
    let daemon = host.start();
    daemon.control.report(incident("203.0.113.7", 1.0, false));
    let error = daemon.control.ban(by_operator("203.0.113.8")).await.unwrap_err();
    assert!(matches!(error, OrderError::Rejected(Rejected::Protected { .. })), "{error}");
    assert_eq!(daemon.in_force().await, []);
    assert_eq!(host.kernel.lock().entries().unwrap(), []);
    assert_eq!(
        daemon.metrics.incidents.with_label_values(&["ban"]).get(),
        1,
        "it is an incident all the same"
    );
}

#[tokio::test]
async fn an_operators_ban_is_on_disk_and_in_the_kernel_before_the_answer() {
    let host = Host::new();
    let daemon = host.start();
    let banned = daemon.control.ban(by_operator("203.0.113.7")).await.unwrap();
    let kept = daemon.opened.reader.decisions_in_force(millis(clock::wall())).unwrap();
    assert_eq!(kept.iter().map(|row| row.id).collect::<Vec<_>>(), [banned.decision().id]);
    assert_eq!(host.kernel.ban_of("203.0.113.7"), Some(1));
}

#[tokio::test]
async fn a_lift_is_on_disk_and_out_of_the_kernel_before_the_answer() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.ban(by_operator("203.0.113.7")).await.unwrap();
    daemon.control.lift(Target::Source(source("203.0.113.7"))).await.unwrap();
    assert_eq!(host.ended(1).as_deref(), Some("lifted"));
    assert_eq!(host.kernel.ban_of("203.0.113.7"), None);
    assert!(!daemon.is_banned_at_the_doors("203.0.113.7"));
    let error = daemon.control.lift(Target::Decision(DecisionId(1))).await.unwrap_err();
    assert!(matches!(error, OrderError::NotInForce), "{error}");
}

#[tokio::test]
async fn a_ban_that_the_disk_refuses_is_in_force_nowhere() {
    let host = Host::new();
    let daemon = host.start();
    let disk = host.refusing_disk();
    let error = daemon.control.ban(by_operator("203.0.113.7")).await.unwrap_err();
    assert!(matches!(error, OrderError::Store(_)), "{error}");
    assert_eq!(daemon.in_force().await, []);
    assert!(!daemon.is_banned_at_the_doors("203.0.113.7"));
    assert_eq!(host.kernel.ban_of("203.0.113.7"), None);
    disk.execute_batch("ROLLBACK").unwrap();
    let reader = daemon.opened.reader.clone();
    daemon.stop().await;
    assert_eq!(reader.decisions_in_force(0).unwrap(), [], "nor does it come back later");
}

#[tokio::test]
async fn a_lift_that_the_disk_refuses_leaves_the_ban_in_force() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.ban(by_operator("203.0.113.7")).await.unwrap();
    let disk = host.refusing_disk();
    assert!(daemon.control.lift(Target::Source(source("203.0.113.7"))).await.is_err());
    assert_eq!(daemon.in_force().await.len(), 1);
    assert!(daemon.is_banned_at_the_doors("203.0.113.7"));
    assert_eq!(host.kernel.ban_of("203.0.113.7"), Some(1));
    disk.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test]
async fn a_ban_that_the_disk_refuses_leaves_the_one_it_was_to_replace() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.report(incident("203.0.113.7", 0.95, false));
    eventually("the first ban is on disk", || daemon.opened.reader.decisions_in_force(0).unwrap().len() == 1)
        .await;
    let disk = host.refusing_disk();
    // Two at once: the second is to replace the first while both wait for the disk.
    let (one, other) = tokio::join!(
        daemon.control.ban(by_operator("203.0.113.7")),
        daemon.control.ban(by_operator("203.0.113.7")),
    );
    assert!(one.is_err() && other.is_err());
    disk.execute_batch("ROLLBACK").unwrap();
    assert_eq!(daemon.in_force().await[0].origin, Origin::Detector);
    assert!(daemon.is_banned_at_the_doors("203.0.113.7"));
    assert_eq!(host.kernel.ban_of("203.0.113.7"), Some(1));
    let reader = daemon.opened.reader.clone();
    daemon.stop().await;
    assert_eq!(reader.decisions_in_force(0).unwrap().len(), 1);
    assert_eq!(host.ended(1), None, "what was not replaced is not closed on disk");
}

#[tokio::test]
async fn health_tells_of_a_disk_that_refuses_and_of_one_that_recovers() {
    let host = Host::new();
    let daemon = host.start();
    let disk = host.refusing_disk();
    assert!(daemon.control.ban(by_operator("203.0.113.7")).await.is_err());
    assert!(!daemon.control.health().await.unwrap().store_writes);
    disk.execute_batch("ROLLBACK").unwrap();
    // Nobody asks for anything meanwhile.
    for _ in 0..80 {
        if daemon.control.health().await.unwrap().store_writes {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the disk takes writes again and health does not say so");
}

#[tokio::test]
async fn what_was_reported_last_is_carried_out_before_the_task_ends() {
    let host = Host::new();
    let idle = host.idle();
    idle.control.report(incident("203.0.113.7", 0.95, false));
    let reader = idle.opened.reader.clone();
    // Stopped before it has looked into its queue even once.
    let daemon = idle.run();
    daemon.stop.cancel();
    daemon.stop().await;
    assert_eq!(host.kernel.ban_of("203.0.113.7"), Some(1));
    assert_eq!(reader.decisions_in_force(0).unwrap().len(), 1);
}

#[tokio::test]
async fn an_operators_longest_ban_is_kept_and_enforced() {
    let host = Host::new();
    let daemon = host.start();
    // Beyond what the wall clock can say, and within what the monotonic clock can.
    let ttl = Duration::from_secs(i64::MAX.unsigned_abs() - 1_000_000_000);
    daemon.control.ban(by(Origin::Operator, "203.0.113.7", Some(ttl))).await.unwrap();
    assert_eq!(daemon.in_force().await.len(), 1);
}

#[tokio::test]
async fn a_restart_takes_up_what_disk_and_kernel_hold() {
    let host = Host::new();
    let lifted = Record::Ended { id: DecisionId(3), cause: Ended::Lifted, at_ms: 5 };
    host.keep([
        Record::Decision(row(1, "203.0.113.1")),
        Record::Decision(row(2, "203.0.113.2")),
        Record::Decision(row(3, "203.0.113.3")),
        lifted,
    ]);
    {
        let mut kernel = host.kernel.lock();
        let ttl = Some(secs(540));
        kernel.install(source("203.0.113.1"), Entry { ttl, ..entry(1) }).unwrap();
        // 2 was lost; 3 was lifted on disk a moment before the kill; 4 had not reached the disk.
        kernel.install(source("203.0.113.3"), entry(3)).unwrap();
        kernel.install(source("203.0.113.4"), entry(4)).unwrap();
    }
    let idle = host.idle();
    let taken_up = Recovered { from_store: 2, from_kernel: 1, reinstalled: 1, ..Recovered::default() };
    assert_eq!(idle.recovered, taken_up);
    let daemon = idle.run();
    let held: Vec<_> = daemon.in_force().await.into_iter().map(|held| (held.id.0, held.origin)).collect();
    assert_eq!(held, [(1, Origin::Operator), (2, Origin::Operator), (4, Origin::Detector)]);
    for (address, ban) in [("203.0.113.1", Some(1)), ("203.0.113.2", Some(2)), ("203.0.113.4", Some(4))] {
        assert_eq!(host.kernel.ban_of(address), ban, "{address}");
        assert!(daemon.is_banned_at_the_doors(address), "{address}");
    }
    assert_eq!(host.kernel.ban_of("203.0.113.3"), None, "what was lifted stays lifted");
    let next = daemon.control.ban(by_operator("203.0.113.5")).await.unwrap();
    assert_eq!(next.decision().id, DecisionId(5), "no number is given out twice");
    daemon.stop().await;

    // And once more, without any difference left.
    let idle = host.idle();
    assert_eq!(idle.recovered, Recovered { from_store: 4, ..Recovered::default() });
    idle.close();
}

#[tokio::test]
async fn a_restart_lets_go_of_whom_the_never_ban_set_now_names() {
    let mut host = Host::new();
    host.keep([Record::Decision(row(1, "203.0.113.1"))]);
    host.never_ban = NeverBan::new([(source("203.0.113.1"), Protection::AllowList)]);
    let daemon = host.start();
    assert_eq!(daemon.in_force().await, []);
    assert_eq!(host.kernel.ban_of("203.0.113.1"), None);
    daemon.stop().await;
    assert_eq!(host.ended(1).as_deref(), Some("protected"));
}

#[tokio::test]
async fn what_differs_in_the_kernel_is_counted_and_mended() {
    let host = Host::new();
    host.keep([Record::Decision(row(1, "203.0.113.1"))]);
    let mut idle = host.idle();
    {
        let mut kernel = host.kernel.lock();
        assert!(kernel.remove(source("203.0.113.1")).unwrap());
        kernel.install(source("203.0.113.9"), entry(9)).unwrap();
    }
    let entries = host.kernel.lock().reader().unwrap();
    idle.task.mend(look(entries.as_ref(), &idle.opened.reader, &idle.view));
    assert_eq!(idle.metrics.drift.get(), 2);
    for kind in ["missing", "stray"] {
        assert_eq!(idle.metrics.repairs.with_label_values(&[kind]).get(), 1, "{kind}");
    }
    assert_eq!(host.kernel.ban_of("203.0.113.1"), Some(1));
    assert_eq!(host.kernel.ban_of("203.0.113.9"), None);
    idle.task.mend(look(entries.as_ref(), &idle.opened.reader, &idle.view));
    assert_eq!(idle.metrics.drift.get(), 0);
    idle.close();
}

#[tokio::test]
async fn a_row_that_nothing_stands_for_is_closed() {
    let host = Host::new();
    let mut idle = host.idle();
    idle.opened.store.commit(Record::Decision(row(1, "203.0.113.1"))).await.unwrap();
    let entries = host.kernel.lock().reader().unwrap();
    idle.task.mend(look(entries.as_ref(), &idle.opened.reader, &idle.view));
    assert_eq!(idle.metrics.repairs.with_label_values(&["unclosed"]).get(), 1);
    idle.close();
    assert_eq!(host.ended(1).as_deref(), Some("expired"));
}

#[tokio::test]
async fn a_decision_ends_when_its_time_is_over() {
    let host = Host::new();
    let daemon = host.start();
    let ttl = Some(Duration::from_millis(300));
    daemon.control.ban(by(Origin::Operator, "203.0.113.7", ttl)).await.unwrap();
    assert_eq!(daemon.in_force().await.len(), 1);
    eventually("the ban ends", || !daemon.is_banned_at_the_doors("203.0.113.7")).await;
    eventually("the disk knows", || host.ended(1).as_deref() == Some("expired")).await;
    assert_eq!(daemon.in_force().await, []);
    assert_eq!(host.kernel.ban_of("203.0.113.7"), None);
}

#[tokio::test]
async fn whoever_comes_under_protection_is_let_go() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.report(incident("203.0.113.7", 0.95, false));
    daemon.control.ban(by_operator("203.0.113.8")).await.unwrap();
    let protected = NeverBan::new([(source("203.0.113.7"), Protection::OperatorSession)]);
    daemon.control.set_never_ban(protected).await.unwrap();
    let held: Vec<_> = daemon.in_force().await.into_iter().map(|held| held.source).collect();
    assert_eq!(held, [source("203.0.113.8")]);
    assert_eq!(host.kernel.ban_of("203.0.113.7"), None);
    assert_eq!(host.kernel.lock().allowed(), [source("203.0.113.7")]);
    daemon.stop().await;
    assert_eq!(host.ended(1).as_deref(), Some("protected"));
}

#[tokio::test]
async fn the_reconciler_does_not_run_ahead_of_the_disk() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.ban(by_operator("203.0.113.8")).await.unwrap();
    let disk = host.refusing_disk();
    // The first look is taken when the task starts to run: it meets orders that wait for the disk.
    let (banned, lifted) = tokio::join!(
        daemon.control.ban(by_operator("203.0.113.7")),
        daemon.control.lift(Target::Source(source("203.0.113.8"))),
    );
    assert!(banned.is_err() && lifted.is_err());
    assert_eq!(host.kernel.ban_of("203.0.113.7"), None);
    assert_eq!(host.kernel.ban_of("203.0.113.8"), Some(1));
    disk.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test]
async fn a_control_task_that_dies_is_noticed() {
    let host = Host::new();
    let daemon = host.start();
    let at_once = Duration::from_millis(50);
    assert!(tokio::time::timeout(at_once, daemon.control.ended()).await.is_err(), "it lives");
    daemon.running.abort();
    tokio::time::timeout(secs(5), daemon.control.ended()).await.unwrap();
}

#[tokio::test]
async fn who_comes_back_is_banned_for_longer_also_after_a_restart() {
    let host = Host::new();
    for (nth, hours) in [(1, 4), (2, 8)] {
        let daemon = host.start();
        daemon.control.report(incident("203.0.113.7", 0.95, false));
        let left = daemon.in_force().await[0].remaining(clock::now()).unwrap();
        let expected = f64::from(hours) * 3600.0;
        assert!((left.as_secs_f64() / expected - 1.0).abs() < 0.11, "ban {nth} has {left:?} left");
        // What was on its way when the ban came makes nobody a repeater.
        daemon.control.report(incident("203.0.113.7", 0.95, false));
        assert_eq!(daemon.in_force().await.len(), 1);
        daemon.control.lift(Target::Source(source("203.0.113.7"))).await.unwrap();
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_prefix_most_of_whose_members_are_banned_is_banned_whole_but_for_the_protected() {
    let mut host = Host::new();
    host.never_ban = NeverBan::new([(source("203.0.113.200"), Protection::AllowList)]);
    let daemon = host.start();
    for member in 1..=8 {
        daemon.control.report(incident(&format!("203.0.113.{member}"), 0.95, false));
    }
    let wide = daemon.in_force().await.into_iter().find(|decision| !decision.source.is_host()).unwrap();
    assert_eq!(wide.source, source("203.0.113.0/24"));
    assert!(wide.remaining(clock::now()).is_some_and(|left| left <= secs(86_400)));
    assert!(daemon.is_banned_at_the_doors("203.0.113.99"));
    assert!(!daemon.is_banned_at_the_doors("203.0.113.200"), "it is on the allow list");
}

#[tokio::test]
async fn what_is_decided_of_places_reaches_the_kernel_side_or_is_refused() {
    let daemon = Host::new().start();
    let place = |name: &str| PlacePolicy { name: name.to_owned(), act: PlaceAct::Ban, dry_run: false };
    let prefixes = vec![("11.0.0.0/8".parse().unwrap(), 0), ("2a00::/32".parse().unwrap(), 1)];
    let places = Places { policies: vec![place("XX"), place("AS64500")], prefixes };
    daemon.control.set_places(places).await.unwrap();
    let seen = daemon.control.seen().await.unwrap();
    let names: Vec<_> = seen.hits.iter().map(|hit| (hit.kind.name(), hit.name.as_str())).collect();
    assert_eq!(names, [("place", "XX"), ("place", "AS64500")]);
    let most = dataplane::Config::default().max_place_prefixes;
    let many =
        (0..=most).map(|n| (format!("{}/25", std::net::Ipv4Addr::from_bits(n << 8)).parse().unwrap(), 0));
    let many = Places { policies: vec![place("XX")], prefixes: many.collect() };
    let refused = daemon.control.set_places(many).await;
    assert!(matches!(refused, Err(OrderError::Dataplane(dataplane::Error::Full { .. }))), "{refused:?}");
    assert_eq!(daemon.control.met(vec![source("203.0.113.7")]).await.unwrap().len(), 1);
}
