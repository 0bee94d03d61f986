//! The allow list through the control task: on disk, in the kernel, and gone again.

use std::time::Duration;

use super::bench::{Host, by_operator, ip, whom};
use super::*;
use crate::engine::ledger::Rejected;

#[tokio::test]
async fn what_an_operator_lets_through_is_freed_at_once_kept_and_protected_until_he_takes_it_back() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.ban(by_operator("203.0.113.7")).await.unwrap();
    daemon.control.allow(whom("203.0.113.0/24", None)).await.unwrap();
    assert!(!daemon.is_banned_at_the_doors("203.0.113.7"));
    assert_eq!(host.kernel.ban_of("203.0.113.7"), None);
    daemon.stop().await;

    let daemon = host.start();
    let error = daemon.control.ban(by_operator("203.0.113.8")).await.unwrap_err();
    assert!(matches!(error, OrderError::Rejected(Rejected::Protected { .. })), "{error}");
    let whom = "203.0.113.0/24".parse().unwrap();
    daemon.control.disallow(AllowTarget::Whom(whom)).await.unwrap();
    daemon.control.ban(by_operator("203.0.113.8")).await.unwrap();
    assert_eq!(host.kernel.ban_of("203.0.113.8"), Some(2));
    assert!(daemon.opened.reader.allows(0).unwrap().is_empty());
    // What the host protects by itself stays protected meanwhile.
    assert_eq!(daemon.control.never_ban().await.unwrap().entries(), host.never_ban.entries());
}

#[tokio::test]
async fn an_entry_of_the_allow_list_ends_by_itself() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.allow(whom("203.0.113.7", Some(Duration::from_millis(200)))).await.unwrap();
    assert!(daemon.control.ban(by_operator("203.0.113.7")).await.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    daemon.control.ban(by_operator("203.0.113.7")).await.unwrap();
    assert_eq!(daemon.control.allows().await.unwrap(), []);
}

#[tokio::test]
async fn a_name_is_let_through_by_its_last_answer_also_after_a_restart() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.allow(whom("home.example.org", None)).await.unwrap();
    let name = DnsName::parse("home.example.org").unwrap();
    daemon.control.resolved(name.clone(), vec![ip("203.0.113.7")]).await.unwrap();
    assert!(daemon.control.ban(by_operator("203.0.113.7")).await.is_err());
    daemon.stop().await;

    let daemon = host.start();
    assert!(daemon.control.ban(by_operator("203.0.113.7")).await.is_err());
    daemon.control.resolved(name, vec![ip("203.0.113.9")]).await.unwrap();
    daemon.control.ban(by_operator("203.0.113.7")).await.unwrap();
    assert!(daemon.control.ban(by_operator("203.0.113.9")).await.is_err());
}

#[tokio::test]
async fn an_entry_that_the_disk_refuses_lets_nobody_through() {
    let host = Host::new();
    let daemon = host.start();
    let disk = host.refusing_disk();
    let error = daemon.control.allow(whom("203.0.113.7", None)).await.unwrap_err();
    assert!(matches!(error, OrderError::Store(_)), "{error}");
    disk.execute_batch("ROLLBACK").unwrap();
    assert_eq!(daemon.control.allows().await.unwrap(), []);
    daemon.control.ban(by_operator("203.0.113.7")).await.unwrap();
}

#[tokio::test]
async fn places_that_are_let_through_make_room_for_the_never_ban_set() {
    let host = Host::new();
    let daemon = host.start();
    let prefixes = |count: u32| -> Vec<ipnet::IpNet> {
        let prefix = |n: u32| ipnet::Ipv4Net::new_assert((0x2d00_0000 + (n << 8)).into(), 24).into();
        (0..count).map(prefix).collect()
    };
    let room = crate::dataplane::Config::default().max_allowed;
    assert!(daemon.control.set_let_through(prefixes(room + 1)).await.is_err());
    daemon.control.set_let_through(prefixes(room)).await.unwrap();
    daemon.control.allow(whom("203.0.113.7", None)).await.unwrap();
    assert_eq!(host.kernel.allowed(), ["203.0.113.7".parse().unwrap()]);
    // Whoever keeps the places is told to try again.
    daemon.control.let_through().notified().await;
    assert!(daemon.control.set_let_through(prefixes(room)).await.is_err());
    daemon.control.set_let_through(prefixes(room - 1)).await.unwrap();
    assert_eq!(host.kernel.allowed().len(), room as usize);
}
