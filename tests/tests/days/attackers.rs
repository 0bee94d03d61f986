//! Days of people who mean harm and take their time: each of them is refused.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::world::{Got, World, address};

const DAY: Duration = Duration::from_hours(24);

/// One password for many accounts, from 500 addresses, each of which tries one every forty minutes; and
/// a thousand people who log in meanwhile.
#[test]
fn a_password_sprayer_from_500_addresses() {
    const ADDRESSES: u32 = 500;
    let mut world = World::new(6);
    let start = world.now;
    let mut refused_at: Vec<Option<u32>> = vec![None; 500];
    let (mut account, mut honest_worst) = (0, 0.0_f64);
    for round in 0..36 {
        for sprayer in 0..ADDRESSES {
            account += 1;
            let from: IpAddr = Ipv4Addr::from_bits(0x0a14_0000 + sprayer).into();
            let got = world.login(from, 10_000 + account, world_knows(account));
            let at = &mut refused_at[usize::try_from(sprayer).unwrap()];
            if got == Got::Refused && at.is_none() {
                *at = Some(round);
            }
            world.pause(40 * 60 * 1000 / u64::from(ADDRESSES));
            if world.happens(6) {
                let attackers_worst = std::mem::replace(&mut world.worst, 0.0);
                let person = u32::try_from(world.any(1000)).unwrap();
                let home: IpAddr = Ipv4Addr::from_bits(0x0a20_0000 + person).into();
                if world.happens(15) {
                    world.login(home, u64::from(person), false);
                    world.pause(5_000);
                }
                world.login(home, u64::from(person), true);
                honest_worst = honest_worst.max(world.worst);
                world.worst = attackers_worst;
            }
        }
    }
    assert!(world.now - start <= DAY * 11 / 10, "it was a day");
    let refused = refused_at.iter().flatten().count();
    assert!(refused >= 490, "{refused} of 500 addresses were refused");
    let mut rounds: Vec<_> = refused_at.into_iter().flatten().collect();
    rounds.sort_unstable();
    assert!(rounds[rounds.len() / 2] <= 8, "half of them by attempt {}", rounds[rounds.len() / 2]);
    assert!(honest_worst < 0.8, "and nobody of those who live here: {honest_worst}");
}

/// One in two hundred accounts has that very password.
fn world_knows(account: u64) -> bool {
    account.is_multiple_of(200)
}

#[test]
fn a_slow_scanner() {
    let mut world = World::new(7);
    let (scanner, end) = (address("203.0.113.66"), world.now + DAY);
    let words = ["admin", "backup", "old", "test", "dev", "staging", "api/v1", "private", "db", "files"];
    let mut asked = 0;
    while world.now < end {
        let (word, number) = (world.any(10), world.any(5000));
        let word = words[usize::try_from(word).unwrap()];
        let target = if world.happens(10) { "/".to_owned() } else { format!("/{word}/{number}.zip") };
        asked += 1;
        if world.get(scanner, &target) == Got::Refused {
            break;
        }
        world.pause(180_000);
    }
    assert!(world.worst > 0.8, "scored {}", world.worst);
    assert!(asked < 80, "after {asked} requests");
}

#[test]
fn a_card_tester() {
    let mut world = World::new(8);
    let (tester, end) = (address("203.0.113.67"), world.now + DAY);
    let mut tried = 0;
    while world.now < end {
        world.get(tester, "/cart");
        let is_good = world.happens(4);
        tried += 1;
        if world.pay(tester, tried, is_good) == Got::Refused {
            break;
        }
        world.pause(240_000);
    }
    assert!(world.worst > 0.8, "scored {}", world.worst);
    assert!(tried < 60, "after {tried} cards");
}
