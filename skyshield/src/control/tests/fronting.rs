//! Addresses that may stand for others than themselves.

use super::super::*;
use super::bench::{Host, by_operator, incident};
use crate::engine::decision::Origin;

#[tokio::test]
async fn what_may_be_a_proxy_is_banned_by_operators_alone() {
    let host = Host::new();
    let daemon = host.start();
    let forwarded = |address| {
        let mut attack = incident(address, 0.95, false);
        attack.traits.forwards = true;
        attack
    };
    // From the first request on, by whichever road the ban comes.
    daemon.control.report(forwarded("172.17.0.1"));
    let ban = |address: &str, origin| NewBan { origin, ..by_operator(address) };
    let error = daemon.control.ban_for(ban("172.17.0.1", Origin::Detector), true).await.unwrap_err();
    assert!(matches!(error, OrderError::NotArmed), "{error}");
    assert_eq!(daemon.in_force().await, []);
    assert_eq!(daemon.metrics.watched.not_armed.get(), 2);
    // A client that says it forwards has an address of its own all the same.
    daemon.control.report(forwarded("203.0.113.7"));
    daemon.control.report(incident("172.17.0.2", 0.95, false));
    daemon.control.ban_for(ban("172.17.0.1", Origin::Operator), true).await.unwrap();
    assert_eq!(daemon.in_force().await.len(), 3);
}
