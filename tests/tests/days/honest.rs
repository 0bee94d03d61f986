//! Days of people and machines that mean no harm: none of them ever scores 0.8.

use std::net::IpAddr;
use std::time::Duration;

use crate::world::{Got, World, address};

const DAY: Duration = Duration::from_hours(24);
const REFUSED: f64 = 0.8;

fn assert_honest(world: &World, least_answered: u64) {
    let [answered, too_early, refused] = world.counts;
    assert!(world.worst < REFUSED, "scored {} ({:?})", world.worst, world.counts);
    assert_eq!(refused, 0);
    assert!(answered >= least_answered, "{answered} answered, {too_early} too early: no day at all");
}

/// Looks at a page with all that belongs to it.
fn browse(world: &mut World, from: IpAddr) {
    let number = world.any(5000);
    let target = match world.any(10) {
        0 => "/".to_owned(),
        1 => format!("/search?q=shoes+{number}"),
        2 => format!("/blog/{number}"),
        _ => format!("/products/{number}"),
    };
    world.get(from, &target);
    for asset in ["app.css", "app.js", "logo.svg"] {
        world.get(from, &format!("/static/{asset}"));
    }
}

/// Logs in, with a slip in so many of a hundred cases, and again until it works or is too early.
fn log_in(world: &mut World, from: IpAddr, account: u64, slips: u64) {
    for _ in 0..4 {
        let is_right = !world.happens(slips);
        if world.login(from, account, is_right) != Got::Answer(401) {
            return;
        }
        world.pause(8_000);
    }
}

#[test]
fn a_user_twice_as_fast_as_most() {
    let mut world = World::new(1);
    let (user, end) = (address("203.0.113.7"), world.now + DAY);
    let mut pages = 0;
    while world.now < end {
        // Three long sessions; he has forgotten his password in the first.
        if pages % 700 == 0 {
            for _ in 0..if pages == 0 { 4 } else { 1 } {
                world.login(user, 7, false);
                world.pause(15_000);
            }
            world.login(user, 7, true);
        }
        browse(&mut world, user);
        if world.happens(3) {
            let dead = world.any(1000);
            world.get(user, &format!("/old/{dead}"));
        }
        if pages % 300 == 299 {
            world.pay(user, 1, false);
            world.pause(20_000);
            world.pay(user, 2, false);
            world.pause(20_000);
            world.pay(user, 2, true);
        }
        pages += 1;
        world.pause(5_000);
        if pages % 700 == 0 {
            world.pause(6 * 3_600_000);
        }
    }
    assert_honest(&world, 3_000);
}

#[test]
fn an_office_of_200_behind_one_address() {
    let mut world = World::new(2);
    let (office, end) = (address("198.51.100.1"), world.now + Duration::from_hours(10));
    let mut person = 0;
    while world.now < end {
        person = (person + 1) % 200;
        if world.happens(6) {
            log_in(&mut world, office, person, 12);
        }
        browse(&mut world, office);
        if world.happens(2) {
            let dead = world.any(1000);
            world.get(office, &format!("/old/{dead}"));
        }
        if world.happens(1) {
            let (card, is_good) = (world.any(1000), !world.happens(15));
            world.pay(office, card, is_good);
        }
        world.pause(3_000);
    }
    assert_honest(&world, 10_000);
}

#[test]
fn the_crawler_of_a_search_engine() {
    let mut world = World::new(3);
    let (crawler, end) = (address("192.0.2.66"), world.now + DAY);
    world.get(crawler, "/robots.txt");
    world.get(crawler, "/sitemap.xml");
    let mut number = 0;
    while world.now < end {
        number = (number + 1) % 5000;
        // Its index remembers what the shop has long forgotten.
        let target = if world.happens(12) {
            format!("/products/{}", 6000 + number)
        } else {
            format!("/products/{number}")
        };
        world.get(crawler, &target);
        world.pause(4_000);
    }
    assert_honest(&world, 15_000);
}

#[test]
fn a_monitoring_probe() {
    let mut world = World::new(4);
    let (probe, start) = (address("192.0.2.9"), world.now);
    while world.now < start + DAY {
        // For an hour of the day the shop is away.
        let hour = (world.now - start).as_secs() / 3600;
        let status = if hour == 13 { [503, 404][usize::from(world.happens(50))] } else { 200 };
        world.send(probe, "GET", "/healthz", "", status);
        world.pause(10_000);
    }
    assert_honest(&world, 7_000);
}

#[test]
fn the_shared_address_of_a_mobile_network() {
    let mut world = World::new(5);
    let (network, end) = (address("198.51.100.200"), world.now + DAY);
    while world.now < end {
        let person = world.any(3000);
        browse(&mut world, network);
        if world.happens(5) {
            log_in(&mut world, network, person, 20);
        }
        if world.happens(4) {
            let dead = world.any(2000);
            world.get(network, &format!("/old/{dead}"));
        }
        if world.happens(2) {
            let (card, is_good) = (world.any(100_000), !world.happens(20));
            world.pay(network, card, is_good);
        }
        world.pause(4_000);
    }
    assert_honest(&world, 20_000);
}
