//! Lists as they are fetched, refused and kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tests::loopback::until;
use tests::standin::{Manner, StandIn};

use crate::shop::Shop;

fn feed(url: &str, action: &str) -> String {
    format!(
        "[dataplane]\nmax_listed = 100000\nmax_listed_prefixes = 100000\n\n[limits]\nenabled = false\n\n\
         [[feeds.lists]]\nname = \"drop\"\nurl = \"{url}/drop\"\naction = \"{action}\"\n"
    )
}

fn nets(count: u32) -> String {
    let nets: Vec<_> = (0..count).map(|n| format!("45.{}.{}.0/24\n", n / 128, n % 128 * 2)).collect();
    nets.concat()
}

fn state(shop: &Shop) -> anyhow::Result<Value> {
    Ok(shop.daemon.daemon.json("/api/v1/feeds")?["items"][0].clone())
}

fn refresh(shop: &Shop, accept: bool) -> anyhow::Result<String> {
    let body = format!("{{\"accept\":{accept}}}");
    shop.daemon.daemon.ask("POST", "/api/v1/feeds/drop/refresh", &body)
}

#[test]
fn a_list_is_in_force_at_the_doors_without_what_nobody_may_list() {
    let text =
        format!("# level1\n0.0.0.0/8\n10.0.0.0/8\n127.0.0.0/8\n192.168.0.0/16\n224.0.0.0/3\n{}", nets(100));
    let server = StandIn::always(Manner::status(200, &text)).unwrap();
    let shop = Shop::open(&feed(&server.url(), "ban")).unwrap();
    until("the list is in force", || Ok(state(&shop)?["ranges"] == 100)).unwrap();
    assert_eq!(state(&shop).unwrap()["left_out"], 5);
    let refused = shop.get("45.0.2.9", "/").unwrap();
    assert_eq!(refused.status, 403);
    for spared in ["10.1.2.3", "192.168.1.1", "46.0.0.1"] {
        assert_eq!(shop.get(spared, "/").unwrap().status, 200, "{spared}");
    }
    let known = shop.daemon.daemon.json("/api/v1/reputation/45.0.2.9").unwrap();
    assert_eq!((&known["lists"][0], &known["unwanted_by"]), (&"drop".into(), &"list drop".into()));
    until("the hit is counted", || Ok(state(&shop)?["hits"].as_u64() >= Some(1))).unwrap();
    // Who is let through is let through whatever a list says.
    shop.daemon.daemon.ask("POST", "/api/v1/allowlist", "{\"whom\":\"45.0.2.9\"}").unwrap();
    assert_eq!(shop.get("45.0.2.9", "/").unwrap().status, 200);
}

#[test]
fn a_list_that_shrinks_by_half_is_refused_until_it_is_accepted() {
    let server = StandIn::always(Manner::status(200, &nets(200))).unwrap();
    let shop = Shop::open(&feed(&server.url(), "weigh")).unwrap();
    until("the list is in force", || Ok(state(&shop)?["ranges"] == 200)).unwrap();
    for bad in [
        Manner::status(200, &nets(100)),
        Manner::status(200, "<html>\n<h1>Too many requests</h1>\n</html>\n"),
        Manner::status(200, ""),
        Manner::status(200, "0.0.0.0/0\n"),
        Manner::status(503, &nets(400)),
        Manner::Say(301, vec!["Location: http://127.0.0.1:1/".to_owned()], Vec::new()),
        Manner::HangUp,
        Manner::Babble,
    ] {
        server.answer(move |_| bad.clone());
        let asked = server.asked().len();
        refresh(&shop, false).unwrap();
        until("it was fetched", || Ok(server.asked().len() > asked)).unwrap();
        until("it was refused", || Ok(!state(&shop)?["problem"].is_null())).unwrap();
        let state = state(&shop).unwrap();
        assert_eq!((&state["ranges"], &state["status"]), (&200.into(), &"failing".into()), "{state}");
    }
    assert!(shop.daemon.daemon.log().contains("a list was refused"), "somebody is told");
    server.answer(|_| Manner::status(200, &nets(100)));
    refresh(&shop, true).unwrap();
    until("it was accepted", || Ok(state(&shop)?["ranges"] == 100)).unwrap();
    assert!(state(&shop).unwrap()["problem"].is_null());
}

#[test]
fn a_list_that_has_not_changed_is_asked_for_conditionally() {
    let conditional = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&conditional);
    let server = StandIn::new(move |request| {
        if request.to_ascii_lowercase().contains("if-none-match: \"v1\"") {
            counted.fetch_add(1, Ordering::Relaxed);
            return Manner::status(304, "");
        }
        Manner::Say(200, vec!["ETag: \"v1\"".to_owned()], nets(50).into_bytes())
    })
    .unwrap();
    let shop = Shop::open(&feed(&server.url(), "log")).unwrap();
    until("the list is in force", || Ok(state(&shop)?["ranges"] == 50)).unwrap();
    refresh(&shop, false).unwrap();
    until("it was asked for conditionally", || Ok(conditional.load(Ordering::Relaxed) == 1)).unwrap();
    assert_eq!(state(&shop).unwrap()["ranges"], 50);
    assert_eq!(shop.get("45.0.2.9", "/").unwrap().status, 200, "it only logs");
}

#[test]
fn a_list_is_kept_over_a_restart_and_not_fetched_again_before_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let server = StandIn::always(Manner::status(200, &nets(50))).unwrap();
    let place = dir.path().display();
    let text = format!(
        "[store]\ndir = \"{place}/state\"\n\n[api]\nlisten = \"{}\"\nmetrics_listen = \"{}\"\nsocket = \"{place}/admin.sock\"\n\n\
         [gateway]\nlisten = [\"{}\"]\n\n{}",
        tests::loopback::free().unwrap(),
        tests::loopback::free().unwrap(),
        tests::loopback::free().unwrap(),
        feed(&server.url(), "weigh"),
    );
    let config = dir.path().join("skyshield.toml");
    std::fs::write(&config, text).unwrap();
    let start = || {
        let command = std::process::Command::new(tests::daemon::program().unwrap());
        tests::daemon::Daemon::start(command, &["--no-kernel"], &config, dir.path()).unwrap()
    };
    let daemon = start();
    until("the list is in force", || Ok(daemon.json("/api/v1/feeds")?["items"][0]["ranges"] == 50)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    daemon.stop().unwrap();
    let daemon = start();
    assert_eq!(daemon.json("/api/v1/feeds").unwrap()["items"][0]["ranges"], 50);
    assert_eq!(server.asked().len(), 1);
    daemon.stop().unwrap();
}
