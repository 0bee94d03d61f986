//! What of the configuration the kernel side takes up while it runs.

use super::bench::{Host, by_operator, eventually, secs, source};
use crate::dataplane::{Config, Enforcer as _, OnSilence, Rule, Tuning};

fn tuning(config: &Config) -> Tuning {
    config.tuning(&Config::default())
}

/// What the kernel side calls its rules.
fn rules(host: &Host) -> Vec<String> {
    let hits = host.kernel.lock().reader().unwrap().hits().unwrap();
    hits.into_iter().map(|hit| hit.name).collect()
}

#[tokio::test]
async fn rules_come_and_go_while_it_runs() {
    let host = Host::new();
    let daemon = host.start();
    let rule: Rule = toml::from_str("name = \"ntp\"\naction = \"drop\"\n").unwrap();
    daemon.control.tune(tuning(&Config { rules: vec![rule], ..Config::default() })).await.unwrap();
    assert_eq!(rules(&host), ["ntp"]);
    daemon.control.tune(tuning(&Config::default())).await.unwrap();
    assert_eq!(rules(&host), [""; 0]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_daemon_is_missed_from_when_the_configuration_says_so_until_it_says_otherwise() {
    let host = Host::new();
    let daemon = host.start();
    daemon.control.ban(by_operator("203.0.113.7")).await.unwrap();
    let missed = Config { on_silence: OnSilence::Disarm, silent_after_secs: 3, ..Config::default() };
    daemon.control.tune(tuning(&missed)).await.unwrap();
    host.kernel.lock().advance(secs(4));
    assert_eq!(host.kernel.ban_of("203.0.113.7"), None, "nobody has said for four seconds that it lives");
    eventually("it says so every second", || host.kernel.ban_of("203.0.113.7").is_some()).await;
    daemon.control.tune(tuning(&Config::default())).await.unwrap();
    host.kernel.lock().advance(secs(40));
    assert!(host.kernel.ban_of("203.0.113.7").is_some(), "it is not to be missed any more");
    assert!(host.kernel.lock().get(source("203.0.113.7")).unwrap().is_some());
    daemon.stop().await;
}
