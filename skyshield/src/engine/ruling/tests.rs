//! Rulings by rows: what is ruled, and what it comes to for a request.
#![expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]

use std::time::UNIX_EPOCH;

use super::*;
use crate::engine::whereabouts::Place;

fn docket(rulings: &[(Kind, &str, u32)], now: Instant) -> Docket {
    let mut docket = Docket::default();
    for (at, &(kind, subject, rate)) in rulings.iter().enumerate() {
        let ruling = docket.draft(new(kind, subject, rate), DecisionId(at as u64 + 1), now).unwrap();
        docket.put(ruling);
    }
    docket
}

fn new(kind: Kind, subject: &str, requests_per_min: u32) -> NewRuling {
    NewRuling {
        kind,
        subject: subject.parse().unwrap(),
        origin: Origin::Operator,
        reason: "test".to_owned(),
        comment: None,
        requests_per_min,
        ttl: Some(Duration::from_mins(1)),
        asked_at: UNIX_EPOCH,
    }
}

/// Rulings in short, the user, and what they come to.
type Row<'a> = (&'a [(Kind, &'a str, u32)], Option<&'a str>, &'a str);

#[test]
fn what_is_let_through_is_neither_banned_nor_limited() {
    let now = Instant::now();
    let place = Place { country: Some(*b"NL"), asn: Some(64500), ..Place::default() };
    let rows: &[Row<'_>] = &[
        (&[], None, ""),
        (&[(Kind::Ban, "asn:64501", 0)], None, ""),
        (&[(Kind::Ban, "asn:64500", 0)], None, "ban"),
        (&[(Kind::Ban, "country:nl", 0)], None, "ban"),
        (&[(Kind::Ban, "country:nl", 0), (Kind::Allow, "asn:64500", 0)], None, "allow"),
        (&[(Kind::Ban, "asn:64500", 0), (Kind::Allow, "user:alice", 0)], Some("alice"), "allow"),
        (&[(Kind::Ban, "asn:64500", 0), (Kind::Allow, "user:alice", 0)], Some("bob"), "ban"),
        (&[(Kind::Ban, "user:alice", 0)], None, ""),
        (&[(Kind::Limit, "203.0.113.0/24", 9), (Kind::Limit, "203.0.113.7", 5)], None, "limit 5"),
        (&[(Kind::Limit, "203.0.114.0/24", 9)], None, ""),
        (&[(Kind::Limit, "asn:64500", 9), (Kind::Ban, "user:alice", 0)], Some("alice"), "ban limit 9"),
    ];
    for (rulings, user, expected) in rows {
        let book = docket(rulings, now).book();
        let about = book.about([203, 0, 113, 7].into(), &place, *user, now);
        let mut told = Vec::new();
        told.extend(about.allow.map(|_| "allow".to_owned()));
        told.extend(about.ban.map(|_| "ban".to_owned()));
        told.extend(about.limit.map(|word| format!("limit {}", word.requests_per_min)));
        assert_eq!(told.join(" "), *expected, "{rulings:?} {user:?}");
        let later = book.about([203, 0, 113, 7].into(), &place, *user, now + Duration::from_mins(1));
        assert_eq!(later, About::default(), "their time is over");
    }
}

#[test]
fn a_ruling_of_higher_authority_is_left_alone() {
    let now = Instant::now();
    let mut docket = docket(&[(Kind::Ban, "asn:64500", 0)], now);
    let feed = NewRuling { origin: Origin::Feed, ..new(Kind::Ban, "asn:64500", 0) };
    assert_eq!(docket.draft(feed, DecisionId(2), now), Err(NotRuled::Outranked(DecisionId(1))));
    let again = docket.draft(new(Kind::Ban, "asn:64500", 0), DecisionId(2), now).unwrap();
    assert_eq!(docket.put(again).unwrap().id, DecisionId(1));
    assert_eq!(docket.len(), 1);
    assert_eq!(docket.handle_timeout(now + Duration::from_secs(61)).len(), 1);
    assert!(docket.is_empty() && docket.poll_timeout().is_none());
}

#[test]
fn sources_are_limited_here_and_banned_and_let_through_elsewhere() {
    let (docket, now) = (Docket::default(), Instant::now());
    for (kind, rate, refused) in [
        (Kind::Ban, 0, NotRuled::OfASource),
        (Kind::Allow, 0, NotRuled::OfASource),
        (Kind::Limit, 0, NotRuled::NoRate),
    ] {
        assert_eq!(docket.draft(new(kind, "203.0.113.7", rate), DecisionId(1), now), Err(refused));
    }
}
