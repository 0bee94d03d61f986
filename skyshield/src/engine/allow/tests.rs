//! The allow list by rows.

#![expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]

use std::time::UNIX_EPOCH;

use super::*;

fn new(whom: &str, ttl: Option<u64>) -> NewAllow {
    NewAllow {
        whom: whom.parse().unwrap(),
        comment: "test".to_owned(),
        by: "root".to_owned(),
        ttl: ttl.map(Duration::from_secs),
        asked_at: UNIX_EPOCH,
        force: false,
    }
}

fn listed(list: &AllowList) -> Vec<String> {
    list.sources().map(|source| source.to_string()).collect()
}

#[test]
fn whom_is_an_address_a_prefix_or_a_name() {
    for (text, told) in [
        ("203.0.113.7", Some("203.0.113.7")),
        ("2001:DB8::/48", Some("2001:db8::/48")),
        ("Home.Example.org.", Some("home.example.org")),
        ("203.0.113.300", None),
        ("localhost", None),
        ("a..b", None),
        ("a b.example", None),
        ("", None),
    ] {
        let parsed = text.parse::<Whom>().ok().map(|whom| whom.to_string());
        assert_eq!(parsed.as_deref(), told, "{text}");
    }
}

#[test]
fn an_entry_for_the_same_takes_the_place_of_the_first() {
    let (mut list, now) = (AllowList::default(), Instant::now());
    for ttl in [Some(60), None] {
        let entry = list.draft(new("203.0.113.0/24", ttl), now).unwrap();
        list.put(entry);
    }
    assert_eq!(listed(&list), ["203.0.113.0/24"]);
    assert_eq!(list.poll_timeout(), None);
}

#[test]
fn an_entry_ends_by_itself() {
    let (mut list, now) = (AllowList::default(), Instant::now());
    for (whom, ttl) in [("203.0.113.7", Some(60)), ("203.0.113.8", None)] {
        let entry = list.draft(new(whom, ttl), now).unwrap();
        list.put(entry);
    }
    let then = list.poll_timeout().unwrap();
    assert_eq!(then, now + Duration::from_mins(1));
    assert!(list.handle_timeout(now).is_empty());
    assert_eq!(list.handle_timeout(then).len(), 1);
    assert_eq!(listed(&list), ["203.0.113.8"]);
}

#[test]
fn a_name_stands_for_its_last_good_answer() {
    let (mut list, now) = (AllowList::default(), Instant::now());
    let name = DnsName::parse("home.example.org").unwrap();
    let entry = list.draft(new("home.example.org", None), now).unwrap();
    list.put(entry);
    assert_eq!(listed(&list), [""; 0]);
    let answer: Vec<IpAddr> = vec!["203.0.113.9".parse().unwrap(), "::ffff:203.0.113.7".parse().unwrap()];
    assert_eq!(list.resolved(&name, answer.clone()).len(), 1);
    assert_eq!(
        list.resolved(&name, answer.into_iter().rev().collect()).len(),
        0,
        "the same in another order"
    );
    assert_eq!(list.resolved(&name, Vec::new()).len(), 0, "no answer is no news");
    assert_eq!(listed(&list), ["203.0.113.7", "203.0.113.9"]);
    // Asked for anew, it is in force at once with what is known.
    let again = list.draft(new("home.example.org", Some(9)), now).unwrap();
    assert_eq!(again.addresses.len(), 2);
}

#[test]
fn half_the_internet_is_let_through_only_by_force_and_room_is_bounded() {
    let (mut list, now) = (AllowList::default(), Instant::now());
    assert!(matches!(list.draft(new("0.0.0.0/1", None), now), Err(NotAllowed::TooWide(_))));
    assert!(list.draft(NewAllow { force: true, ..new("0.0.0.0/1", None) }, now).is_ok());
    for host in 0..u32::try_from(MAX_ENTRIES).unwrap() {
        let address = IpAddr::from((0x0a00_0000 + host).to_be_bytes()).to_string();
        let entry = list.draft(new(&address, None), now).unwrap();
        list.put(entry);
    }
    assert_eq!(list.draft(new("203.0.113.7", None), now), Err(NotAllowed::Full));
    assert!(list.draft(new("10.0.0.1", None), now).is_ok(), "one that is there already");
}
