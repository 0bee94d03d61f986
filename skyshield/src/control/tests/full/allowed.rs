//! Whom nothing is to cut off, where the kernel's allow list has no room for all of them.

use super::super::bench::{ip, whom};
use super::*;
use crate::engine::never_ban::Protection;

/// A host whose kernel lets through so many of each family.
fn host(max_allowed: u32) -> Host {
    let mut host = Host::new();
    host.kernel = Kernel::of(&dataplane::Config { max_allowed, ..dataplane::Config::default() });
    host
}

fn never_ban<const N: usize>(entries: [(&str, Protection); N]) -> NeverBan {
    NeverBan::new(entries.map(|(text, why)| (source(text), why)))
}

#[tokio::test]
async fn a_restart_with_a_smaller_allow_list_lets_the_hosts_own_through_first() {
    let mut host = host(2);
    host.never_ban = never_ban([
        ("192.0.2.1", Protection::AllowList),
        ("192.0.2.2", Protection::OperatorSession),
        ("192.0.2.3", Protection::OwnAddress),
        ("2001:db8::1", Protection::AllowList),
    ]);
    let (idle, told) = Log::of("left_out=1", || host.idle());
    assert_eq!(told.len(), 1);
    assert_eq!(host.kernel.lock().allowed(), ["192.0.2.2", "192.0.2.3", "2001:db8::1"].map(source));
    let health = idle.task.health();
    assert_eq!((idle.recovered.left_out, health.left_out, health.is_in_step()), (1, 1, false));
    idle.close();
}

#[tokio::test]
async fn who_operates_the_host_reaches_a_full_kernel_before_the_operators_list() {
    let mut host = host(2);
    let listed = [("192.0.2.1", Protection::AllowList), ("192.0.2.2", Protection::AllowList)];
    host.never_ban = never_ban([listed[0], listed[1], ("192.0.2.9", Protection::AllowList)]);
    let mut idle = host.idle();
    let mut protect = |session: Option<&str>| {
        let session = session.map(|text| (source(text), Protection::OperatorSession));
        let listed = listed.map(|(text, why)| (source(text), why));
        let all = NeverBan::new(listed.into_iter().chain(session));
        let ((), told) = Log::of("whom nothing is to cut off", || idle.task.host_protects(Arc::new(all)));
        let left_out = idle.task.health().left_out;
        (host.kernel.lock().allowed(), told.len(), left_out)
    };
    let sources = |texts: [&str; 2]| texts.map(source).to_vec();
    assert_eq!(protect(None), (sources(["192.0.2.1", "192.0.2.2"]), 1, 0), "that all fit again is told");
    for (session, told) in [("192.0.2.3", 1), ("192.0.2.4", 0)] {
        assert_eq!(
            protect(Some(session)),
            (sources(["192.0.2.1", session]), told, 1),
            "told when it changes"
        );
    }
    assert_eq!(protect(None), (sources(["192.0.2.1", "192.0.2.2"]), 1, 0));
    idle.close();
}

#[tokio::test]
async fn an_entry_of_the_allow_list_for_which_there_is_no_room_is_kept_and_told() {
    let host = host(1);
    let daemon = host.start();
    for text in ["203.0.113.7", "203.0.113.8", "2001:db8::1"] {
        daemon.control.allow(whom(text, None)).await.unwrap();
    }
    assert_eq!(host.kernel.lock().allowed(), ["203.0.113.7", "2001:db8::1"].map(source));
    assert_eq!(daemon.control.health().await.unwrap().left_out, 1);
    assert!(
        daemon.control.ban(by_operator("203.0.113.8")).await.is_err(),
        "no ban is begun of whom it names"
    );
    daemon.control.disallow(AllowTarget::Whom("203.0.113.7".parse().unwrap())).await.unwrap();
    assert_eq!(host.kernel.lock().allowed(), ["203.0.113.8", "2001:db8::1"].map(source));
    assert_eq!(daemon.control.health().await.unwrap().left_out, 0);
    assert!(!daemon.is_banned_at_the_doors("203.0.113.8"));
}

#[tokio::test]
async fn places_are_let_through_beside_what_of_the_never_ban_set_fits() {
    let mut host = host(1);
    host.never_ban =
        never_ban([("192.0.2.1", Protection::OwnAddress), ("192.0.2.2", Protection::OwnAddress)]);
    let daemon = host.start();
    daemon.control.set_let_through(vec!["2001:db8::/48".parse().unwrap()]).await.unwrap();
    assert_eq!(host.kernel.lock().allowed(), ["192.0.2.1", "2001:db8::/48"].map(source));
    assert!(daemon.control.set_let_through(vec!["45.0.0.0/24".parse().unwrap()]).await.is_err());
    assert!(host.kernel.lock().judge(ip("2001:db8::1")).is_none_or(|(_, allowed)| allowed));
}
