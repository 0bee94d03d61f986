//! What is told again, and to whom.

use super::*;

fn live() -> Live {
    Live::new(&Registry::new()).unwrap()
}

#[test]
fn who_was_away_gets_what_was_missed_and_nothing_twice() {
    let live = live();
    let began = live.newest();
    live.publish(&[("a", "1".to_owned()), ("a", "2".to_owned())]);
    live.publish(&[("a", "3".to_owned())]);
    let after = |mut seen| {
        let mut all = String::new();
        while let Some(frame) = live.after(seen).unwrap() {
            all.push_str(std::str::from_utf8(&frame.after(seen)).unwrap());
            seen = frame.last;
        }
        all
    };
    assert_eq!(after(began).matches("data: ").count(), 3);
    assert_eq!(
        after(began + 1),
        format!("id: {}\nevent: a\ndata: 2\n\nid: {}\nevent: a\ndata: 3\n\n", began + 2, began + 3)
    );
    assert_eq!(after(began + 3), "");
}

#[test]
fn who_is_too_far_behind_is_told() {
    let live = live();
    let began = live.newest();
    for _ in 0..EVENTS + 10 {
        live.publish(&[("a", "1".to_owned())]);
    }
    assert!(live.after(began).is_err());
    assert!(live.after(began + 9).is_err());
    assert_eq!(live.after(began + 10).unwrap().unwrap().last, began + 11);
    assert!(live.after(began + (EVENTS as u64) + 11).is_err(), "a number of another daemon");
    assert!(live.after(0).is_err());
}

#[test]
fn who_is_erased_is_not_told_of_again_and_who_has_heard_goes_on() {
    let live = live();
    let began = live.newest();
    live.publish(&[("a", "\"203.0.113.7\"".to_owned())]);
    live.erase("203.0.113.9");
    assert!(live.after(began).unwrap().is_some(), "another was erased");
    live.erase("203.0.113.7");
    assert!(live.after(began).is_err());
    assert!(live.after(began + 1).unwrap().is_none());
}

#[test]
fn what_was_lost_is_nobodys_to_go_on_from() {
    let live = live();
    let seen = live.revision();
    live.changes().forget();
    assert!(live.changes_after(seen, 10).is_err());
    assert!(live.changes_after(live.revision(), 10).is_ok());
}
