//! The kernel side bypassed, and what ends that.

use std::time::Duration;

use super::super::{Control, QUEUE};
use super::bench::{Host, by_operator, eventually, ip, secs};
use crate::dataplane::{Config, LONGEST_BYPASS};
use crate::engine::risk::Score;

#[tokio::test]
async fn what_is_bypassed_drops_nothing_until_that_is_ended() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.ban(by_operator("203.0.113.7")).await.unwrap();
    daemon.control.bypass(secs(600)).await.unwrap();
    assert_eq!(host.kernel.ban_of("203.0.113.7"), None);
    let left = daemon.control.health().await.unwrap().bypass_left;
    assert!(left > secs(590) && left <= secs(600), "{left:?}");
    assert_eq!(daemon.metrics.bypassed.get(), 1);
    assert!(daemon.is_banned_at_the_doors("203.0.113.7"), "a decision is not lifted");
    // What else is said to the kernel leaves it alone.
    let config = Config::default();
    daemon.control.tune(config.tuning(&config)).await.unwrap();
    assert_eq!(host.kernel.ban_of("203.0.113.7"), None);
    assert!(daemon.control.end_bypass().await.unwrap() > secs(590));
    assert!(host.kernel.ban_of("203.0.113.7").is_some());
    assert_eq!(daemon.control.end_bypass().await.unwrap(), Duration::ZERO);
    daemon.stop().await;
}

#[tokio::test]
async fn a_bypass_ends_by_itself_and_none_lasts_longer_than_a_day() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.ban(by_operator("203.0.113.7")).await.unwrap();
    daemon.control.bypass(secs(30 * 86_400)).await.unwrap();
    assert!(daemon.control.health().await.unwrap().bypass_left <= LONGEST_BYPASS);
    daemon.control.bypass(secs(60)).await.unwrap();
    host.kernel.lock().advance(secs(61));
    assert!(host.kernel.ban_of("203.0.113.7").is_some(), "the kernel waits for nobody to end it");
    eventually("the daemon tells of the end", || daemon.metrics.bypassed.get() == 0).await;
    assert!(daemon.control.health().await.unwrap().bypass_left.is_zero());
    daemon.stop().await;
}

#[tokio::test]
async fn a_bypass_begins_and_ends_although_the_queue_is_full() {
    let host = Host::new();
    let idle = host.idle();
    let flood = |control: &Control| {
        while control.waiting() < QUEUE {
            control.suspect(ip("198.51.100.7"), Score::default());
        }
    };
    flood(&idle.control);
    let control = idle.control.clone();
    let begun = tokio::spawn(async move { control.bypass(secs(600)).await });
    // On one thread it is asked for now, and there is no room.
    tokio::task::yield_now().await;
    let daemon = idle.run();
    begun.await.unwrap().unwrap();
    assert!(daemon.control.health().await.unwrap().bypass_left > secs(590));
    flood(&daemon.control);
    assert!(daemon.control.end_bypass().await.unwrap() > secs(590));
    daemon.stop().await;
}
