//! Many bans at once that do not all find room.

use super::super::bench::{eventually, whom};
use super::*;

fn batch(whom: &[&str]) -> Batch {
    Batch { items: whom.iter().map(|whom| Item::Ban(by_operator(whom))).collect(), is_dry_run: false }
}

#[tokio::test]
async fn a_list_that_does_not_fit_is_refused_line_by_line_and_nothing_of_it_is_done() {
    let host = host(2);
    let daemon = host.start();
    daemon.control.ban(by_operator("203.0.113.0/28")).await.unwrap();
    let list = [
        "203.0.113.0/28",
        "198.51.100.0/28",
        "198.51.100.0/28",
        "198.51.100.16/28",
        "192.0.2.1",
        "192.0.2.16/28",
    ];
    let imported = daemon.control.import(batch(&list)).await.unwrap();
    let lines: Vec<_> = imported.refused.iter().map(|(at, _)| *at).collect();
    assert_eq!(lines, [3, 5], "what comes twice, or is there already, needs no room of its own");
    let (_, why) = &imported.refused[0];
    assert!(why.contains("2 prefixes of IPv4") && why.contains("dataplane.max_prefixes"), "{why}");
    assert_eq!(daemon.in_force().await.len(), 1);
    let imported = daemon.control.import(batch(&list[..3])).await.unwrap();
    assert_eq!((imported.made, imported.no_room, imported.refused), (3, 0, Vec::new()));
}

#[tokio::test]
async fn what_of_a_list_the_kernel_has_no_room_for_is_counted_and_in_force_nowhere() {
    let host = surprised(1);
    let daemon = host.start();
    let imported =
        daemon.control.import(batch(&["203.0.113.0/28", "203.0.113.16/28", "192.0.2.1"])).await.unwrap();
    assert_eq!((imported.made, imported.no_room), (2, 1));
    let held: Vec<_> = daemon.in_force().await.into_iter().map(|held| held.id.0).collect();
    assert_eq!(held, [1, 3]);
    assert_eq!(in_kernel(&host), [1, 3]);
    assert!(!daemon.is_banned_at_the_doors("203.0.113.17"));
    let reader = daemon.opened.reader.clone();
    daemon.stop().await;
    assert_eq!(host.ended(2).as_deref(), Some("no_room"));
    assert_eq!(reader.decisions_in_force(0).unwrap().len(), 2);
}

#[tokio::test]
async fn what_of_a_list_others_have_taken_the_room_of_meanwhile_is_counted() {
    let host = host(1);
    let daemon = host.start();
    let (imported, banned) = tokio::join!(
        daemon.control.import(batch(&["203.0.113.0/28"])),
        daemon.control.ban(by(Origin::Detector, "203.0.113.16/28", Some(secs(600)))),
    );
    banned.unwrap();
    let imported = imported.unwrap();
    assert_eq!((imported.made, imported.no_room), (0, 1));
    eventually("the disk knows", || host.ended(1).as_deref() == Some("no_room")).await;
    assert_eq!(in_kernel(&host), [2]);
}

#[tokio::test]
async fn a_list_that_is_imported_again_ends_no_ban_that_was_in_force() {
    let list = ["203.0.113.0/28", "203.0.113.16/28", "203.0.113.32/28"];
    // With tables that have become smaller, and the ledger knows of it or not.
    for host in [host(1), surprised(1)] {
        host.keep((1..).zip(list).map(|(id, prefix)| kept(id, prefix, Origin::Operator, 600)));
        let daemon = host.start();
        for _ in 0..2 {
            let imported = daemon.control.import(batch(&list)).await.unwrap();
            let Imported { made, waiting_for_room, no_room, .. } = imported;
            assert_eq!((made, waiting_for_room, no_room), (3, 2, 0));
        }
        assert_eq!(daemon.in_force().await.len(), 3);
        for address in ["203.0.113.1", "203.0.113.17", "203.0.113.33"] {
            assert!(daemon.is_banned_at_the_doors(address), "{address}");
        }
        let reader = daemon.opened.reader.clone();
        daemon.stop().await;
        assert_eq!(reader.decisions_in_force(0).unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_list_does_not_free_whom_a_detector_bans_at_the_doors() {
    let host = surprised(1);
    let daemon = host.start();
    daemon.control.ban(by_operator("203.0.113.0/28")).await.unwrap();
    let at_the_doors =
        NewBan { layer: Layer::Request, ..by(Origin::Detector, "203.0.113.16/28", Some(secs(600))) };
    daemon.control.ban(at_the_doors).await.unwrap();
    let imported = daemon.control.import(batch(&["203.0.113.16/28", "203.0.113.32/28"])).await.unwrap();
    assert_eq!((imported.made, imported.waiting_for_room, imported.no_room), (1, 1, 1));
    assert!(daemon.is_banned_at_the_doors("203.0.113.17"));
    assert!(!daemon.is_banned_at_the_doors("203.0.113.33"));
}

#[tokio::test]
async fn what_comes_twice_in_a_list_and_finds_no_room_is_in_force_nowhere() {
    let host = surprised(1);
    let daemon = host.start();
    daemon.control.ban(by_operator("203.0.113.0/28")).await.unwrap();
    let imported = daemon.control.import(batch(&["203.0.113.16/28", "203.0.113.16/28"])).await.unwrap();
    assert_eq!((imported.made, imported.no_room), (0, 2));
    assert_eq!(daemon.in_force().await.len(), 1);
    assert!(!daemon.is_banned_at_the_doors("203.0.113.17"));
}

#[tokio::test]
async fn each_line_of_a_list_is_counted_once_whatever_became_of_it() {
    let host = Host::new();
    let daemon = host.start();
    let list = Batch {
        items: vec![
            Item::Ban(by(Origin::Detector, "203.0.113.7", Some(secs(600)))),
            Item::Ban(by_operator("203.0.113.8")),
            Item::Ban(by_operator("203.0.113.9")),
            Item::Allow(whom("203.0.113.8", None)),
        ],
        is_dry_run: false,
    };
    let (imported, banned) =
        tokio::join!(daemon.control.import(list), daemon.control.ban(by_operator("203.0.113.7")));
    banned.unwrap();
    let Imported { made, kept, protected, no_room, .. } = imported.unwrap();
    assert_eq!((made, kept, protected, no_room), (2, 1, 1, 0));
    assert_eq!(daemon.in_force().await.len(), 2);
}
