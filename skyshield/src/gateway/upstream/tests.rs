use std::time::Duration;

use super::*;

/// A group of upstreams that nobody listens for, but for those in `alive`.
fn group(balance: Balance, count: usize) -> (Group, Vec<std::net::TcpListener>) {
    let alive: Vec<_> = (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses = alive.iter().map(|listener| listener.local_addr().unwrap());
    let named: Vec<(Authority, _)> =
        addresses.map(|address| (address.to_string().parse().unwrap(), vec![address])).collect();
    let (health, limits) = (Health::default(), Limits::default());
    let policy = Policy { balance, health: &health, limits: &limits, host: None };
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let upstreams = named.iter().map(|(authority, addresses)| (authority, addresses.clone()));
    (Group::new("shop", upstreams, &policy, &metrics), alive)
}

fn chosen(group: &Group, now: Instant) -> Option<usize> {
    group.next(now, Tried::default()).map(|(at, _)| at)
}

#[test]
fn each_has_its_turn_and_who_rests_is_asked_for_want_of_others_only() {
    let (group, _alive) = group(Balance::RoundRobin, 3);
    let now = clock::now();
    let turns: Vec<_> = (0..6).map(|_| chosen(&group, now)).collect();
    assert_eq!(turns, [Some(0), Some(1), Some(2), Some(0), Some(1), Some(2)]);
    for _ in 0..3 {
        group.members[1].failed(now);
    }
    let turns: Vec<_> = (0..6).filter_map(|_| chosen(&group, now)).collect();
    assert!(!turns.contains(&1) && turns.contains(&0) && turns.contains(&2), "{turns:?}");
    for _ in 0..3 {
        group.members[0].failed(now);
        group.members[2].failed(now);
    }
    assert!(chosen(&group, now).is_some(), "a guess takes no site down");
    assert_eq!(chosen(&group, now + Duration::from_secs(11)).map(|_| ()), Some(()));
}

#[test]
fn the_least_busy_is_next() {
    let (group, _alive) = group(Balance::LeastConnections, 3);
    let now = clock::now();
    let places: Vec<_> = [0, 0, 1].map(|at: usize| group.members[at].enter()).into();
    assert_eq!(chosen(&group, now), Some(2));
    drop(places);
    let _busy = (group.members[0].enter(), group.members[2].enter());
    assert_eq!((chosen(&group, now), chosen(&group, now)), (Some(1), Some(1)));
}

#[tokio::test]
async fn who_does_not_accept_is_passed_over_and_counted_in_no_ones_work() {
    let (group, mut alive) = group(Balance::RoundRobin, 3);
    drop(alive.remove(0));
    let mut deadline = Deadline::default();
    for _ in 0..6 {
        let lease = group.lease(false, &mut deadline).await.unwrap();
        assert!(!lease.connection.reused);
        assert_eq!(group.states().map(|state| state.active).sum::<usize>(), 1);
    }
    assert_eq!(group.states().map(|state| state.active).sum::<usize>(), 0);
    let states: Vec<_> = group.states().map(|state| state.state).collect();
    assert_eq!(states[1..], [State::Up, State::Up]);
    drop(alive);
    assert_eq!(group.lease(false, &mut deadline).await.err(), Some(Failure::Connect));
}

#[tokio::test]
async fn what_was_given_back_is_used_again_unless_its_upstream_moved() {
    let (group, _alive) = group(Balance::RoundRobin, 1);
    let mut deadline = Deadline::default();
    group.lease(false, &mut deadline).await.unwrap().give_back(clock::now());
    let lease = group.lease(false, &mut deadline).await.unwrap();
    assert!(lease.connection.reused);
    group.members[0].moved_to(vec![SocketAddr::from(([127, 0, 0, 1], 1))]);
    lease.give_back(clock::now());
    assert_eq!(group.lease(false, &mut deadline).await.err(), Some(Failure::Connect));
}
