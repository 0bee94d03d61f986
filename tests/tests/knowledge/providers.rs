//! Providers that answer well, badly and not at all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use skyshield::engine::notebook::{Kept, Notebook};
use skyshield::engine::reputation;
use skyshield::engine::view::View;
use skyshield::reputation::{Asker, Client, Metrics};
use tokio_util::sync::CancellationToken;

use tests::loopback::until;
use tests::standin::{Manner, StandIn};

use crate::shop::{Shop, asking, key_file};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn checked(address: &str, score: &str) -> Manner {
    Manner::json(&format!(
        "{{\"data\":{{\"ipAddress\":\"{address}\",\"abuseConfidenceScore\":{score},\"isTor\":false}}}}"
    ))
}

/// The address that a question is about.
fn asked_about(request: &str) -> String {
    let rest = request.split("ipAddress=").nth(1).unwrap_or_default();
    rest.split(['&', ' ']).next().unwrap_or_default().to_owned()
}

/// Something to be wondered about.
fn attack(client: &str, shop: &Shop) -> anyhow::Result<()> {
    let answer = shop.get(client, "/?q=1%27%20and%20sleep(5)--")?;
    anyhow::ensure!(matches!(answer.status, 200 | 403), "{}", answer.status);
    Ok(())
}

#[test]
fn an_opinion_is_asked_for_once_kept_over_a_restart_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let provider = StandIn::new(|request| checked(&asked_about(request), "87")).unwrap();
    let shop = Shop::open(&asking(&provider, &key_file(dir.path(), KEY).unwrap(), 100)).unwrap();
    for _ in 0..20 {
        attack("45.1.2.3", &shop).unwrap();
    }
    until("the provider's word is known", || {
        let known = shop.daemon.daemon.json("/api/v1/reputation/45.1.2.3")?;
        Ok(known["reputation"].as_f64().is_some_and(|share| (share - 0.87).abs() < 0.001))
    })
    .unwrap();
    assert_eq!(provider.asked().len(), 1, "one question about one source");
    let asked = &provider.asked()[0];
    assert!(
        asked.to_ascii_lowercase().contains(&format!("key: {KEY}")) && asked.contains("/check?"),
        "{asked}"
    );
    let explained = shop.daemon.daemon.json("/api/v1/explain/45.1.2.3").unwrap();
    let terms = explained["terms"].as_array().unwrap();
    assert!(terms.iter().any(|term| term["kind"] == "reputation"), "{explained}");
    let state = shop.daemon.daemon.json("/api/v1/reputation/").unwrap();
    assert_eq!(state["providers"][0]["status"], "ok", "{state}");
    let shop = shop.restart().unwrap();
    attack("45.1.2.3", &shop).unwrap();
    let known = shop.daemon.daemon.json("/api/v1/reputation/45.1.2.3").unwrap();
    assert!(known["reputation"].as_f64().is_some_and(|share| (share - 0.87).abs() < 0.001), "{known}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(provider.asked().len(), 1, "what is known is not asked again");
}

/// Every manner of failing, by name.
fn failures() -> Vec<(&'static str, Manner)> {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let page = "<html>it works</html>";
    vec![
        ("hangs up", Manner::HangUp),
        ("silent", Manner::Silent(Duration::from_secs(8))),
        ("trickles", Manner::Trickle(vec![b'{'; 200], Duration::from_millis(100))),
        ("babbles", Manner::Babble),
        ("has no end", Manner::Endless),
        ("redirects", Manner::Say(302, vec!["Location: http://127.0.0.1:1/".to_owned()], Vec::new())),
        ("is broken", Manner::status(500, "no")),
        ("wants a pause", Manner::Say(429, vec!["Retry-After: 30".to_owned()], b"{}".to_vec())),
        ("is a page", Manner::status(200, page)),
        ("is of a wrong type", Manner::json("{\"data\":{\"ipAddress\":7,\"abuseConfidenceScore\":\"x\"}}")),
        ("is deep", Manner::json(&deep)),
        ("is no number", checked("45.0.0.1", "NaN")),
        ("is out of range", checked("45.0.0.1", "1000")),
        ("is about another", checked("9.9.9.9", "100")),
        ("fails under 200", Manner::json("{\"success\":false,\"message\":\"x\"}")),
        ("is packed without end", Manner::Say(200, vec!["Content-Encoding: gzip".to_owned()], bomb())),
    ]
}

/// 64 MiB of nothing, packed.
fn bomb() -> Vec<u8> {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..8192 {
        let _whole = packed.write_all(&[b' '; 8192]);
    }
    packed.finish().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_manner_of_failing_is_an_opinion_and_none_is_tried_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let key = key_file(dir.path(), KEY).unwrap();
    let mut rooms = Vec::new();
    for (what, manner) in failures() {
        let provider = StandIn::always(manner).unwrap();
        let config = reputation::Config {
            abuseipdb: reputation::AbuseIpdb {
                url: provider.url(),
                key_file: Some(key.clone().into()),
                ..Default::default()
            },
            ..Default::default()
        };
        let (view, registry) = (Arc::<View>::default(), prometheus::Registry::new());
        let metrics = Metrics::new(&registry).unwrap();
        let client = Client::new().unwrap();
        let notebook = Arc::new(Paper::default());
        let asker = Asker::open(&config, &client, Arc::clone(&view), notebook, metrics).unwrap();
        let (told, heard) = tokio::sync::broadcast::channel(1);
        let stop = CancellationToken::new();
        let running = tokio::spawn(asker.run(heard, stop.clone()));
        rooms.push((what, provider, view, registry, told, stop, running));
    }
    for round in 0..12_u32 {
        for (_, _, view, ..) in &rooms {
            for n in 0..10 {
                view.hearsay().wonder(IpAddr::V4((0x2d00_0000 + round * 10 + n).into()), 0.9);
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for (what, provider, view, registry, _told, stop, running) in rooms {
        let asked = provider.asked().len();
        assert!((1..=12).contains(&asked), "{what}: asked {asked} times");
        let is_known = (0..120_u32).any(|n| {
            view.hearsay().of(IpAddr::V4((0x2d00_0000 + n).into()), skyshield::clock::now()).is_some()
        });
        assert!(!is_known, "{what} was taken for an opinion");
        let counted: f64 = registry
            .gather()
            .iter()
            .filter(|family| family.name() == "skyshield_reputation_lookups_total")
            .flat_map(|family| {
                family.get_metric().iter().map(|metric| metric.get_counter().get_value()).collect::<Vec<_>>()
            })
            .sum();
        assert!(counted >= 1.0, "{what} is not counted");
        stop.cancel();
        running.await.unwrap().unwrap();
    }
}

/// A notebook on paper.
#[derive(Default)]
struct Paper(Mutex<HashMap<(&'static str, String), String>>);

impl Notebook for Paper {
    fn note(&self, page: &'static str, key: &str, value: String, _ends_at_ms: Option<i64>) {
        if let Ok(mut paper) = self.0.lock() {
            paper.insert((page, key.to_owned()), value);
        }
    }

    fn note_now(
        &self,
        page: &'static str,
        key: &str,
        value: String,
        ends_at_ms: Option<i64>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        self.note(page, key, value, ends_at_ms);
        Box::pin(std::future::ready(true))
    }

    fn forget(&self, page: &'static str, key: &str) {
        if let Ok(mut paper) = self.0.lock() {
            paper.remove(&(page, key.to_owned()));
        }
    }

    fn page(&self, _page: &'static str, _limit: usize) -> Vec<Kept> {
        Vec::new()
    }
}

#[test]
fn a_dead_provider_costs_no_request_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let provider = StandIn::always(Manner::Silent(Duration::from_secs(8))).unwrap();
    let shop = Shop::open(&asking(&provider, &key_file(dir.path(), KEY).unwrap(), 1000)).unwrap();
    for n in 0..100 {
        let began = now();
        attack(&format!("45.0.1.{n}"), &shop).unwrap();
        // A provider takes eight seconds, and a busy machine its time.
        assert!(began.elapsed() < Duration::from_secs(3), "a request waited");
    }
    until("it was asked", || Ok(!provider.asked().is_empty())).unwrap();
    assert!(shop.daemon.daemon.json("/api/v1/reputation/45.0.1.1").unwrap()["reputation"].is_null());
}

/// Attacks, each from an address that nobody has heard of.
fn flood(shop: &Shop, addresses: Range<u32>) -> anyhow::Result<()> {
    const AT_ONCE: usize = 4;
    let address = |n: u32| std::net::Ipv4Addr::from_bits(0x2d00_0000 + n).to_string();
    std::thread::scope(|scope| {
        let parts = (0..AT_ONCE).map(|first| addresses.clone().skip(first).step_by(AT_ONCE));
        let threads: Vec<_> = parts
            .map(|mut part| scope.spawn(move || part.try_for_each(|n| attack(&address(n), shop))))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })
}

/// `SKYSHIELD_SOURCES` says how many sources there are, instead of 2000.
#[test]
fn a_flood_of_new_sources_spends_the_budget_and_no_more_and_a_crash_gives_nothing_back() {
    const BUDGET: u32 = 40;
    let sources = std::env::var("SKYSHIELD_SOURCES").map_or(2000, |sources| sources.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let provider = StandIn::new(|request| checked(&asked_about(request), "0")).unwrap();
    let shop = Shop::open(&asking(&provider, &key_file(dir.path(), KEY).unwrap(), BUDGET)).unwrap();
    flood(&shop, 0..sources / 2).unwrap();
    until("the provider was asked", || Ok(provider.asked().len() > 5)).unwrap();
    let before = provider.asked().len();
    let shop = shop.crash().unwrap();
    flood(&shop, sources / 2..sources).unwrap();
    until("the budget is spent", || {
        let state = shop.daemon.daemon.json("/api/v1/reputation")?;
        Ok(state["providers"][0]["status"] == "exhausted" || state["providers"][0]["waiting"] == 0)
    })
    .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let asked = provider.asked().len();
    assert!(asked <= BUDGET as usize && asked >= before, "{asked} of {BUDGET}");
    let page = shop.daemon.daemon.get("/api/v1/monitoring/prometheus").unwrap();
    assert!(page.contains("skyshield_reputation_budget_remaining{provider=\"abuseipdb\"}"), "it is counted");
    println!("{sources} sources, {before} questions before the crash, {asked} in all");
}

#[test]
fn a_daily_limit_ends_the_asking_and_is_never_taken_for_a_clean_source() {
    let dir = tempfile::tempdir().unwrap();
    let spent = "{\"errors\":[{\"detail\":\"Daily rate limit of 1000 requests exceeded for this endpoint.\",\"status\":429}]}";
    let provider = StandIn::always(Manner::Say(429, Vec::new(), spent.as_bytes().to_vec())).unwrap();
    let shop = Shop::open(&asking(&provider, &key_file(dir.path(), KEY).unwrap(), 1000)).unwrap();
    for n in 0..50 {
        attack(&format!("45.0.2.{n}"), &shop).unwrap();
    }
    until("it is known to be exhausted", || {
        Ok(shop.daemon.daemon.json("/api/v1/reputation")?["providers"][0]["status"] == "exhausted")
    })
    .unwrap();
    assert!(provider.asked().len() <= 4, "{}", provider.asked().len());
    let state = shop.daemon.daemon.json("/api/v1/reputation").unwrap();
    assert_eq!(state["providers"][0]["known"], 0, "{state}");
}

#[test]
fn attackers_are_told_of_only_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let key = key_file(dir.path(), KEY).unwrap();
    for enabled in [false, true] {
        let provider = StandIn::new(|request| checked(&asked_about(request), "0")).unwrap();
        let report = format!("\n[reputation.abuseipdb.report]\nenabled = {enabled}\n");
        let shop = Shop::open(&(asking(&provider, &key, 0) + &report)).unwrap();
        for _ in 0..3 {
            // Behind a proxy a ban is at the doors; the attack is one all the same.
            shop.get("45.7.7.7", "/?q=1%27%20union%20select%20password%20from%20users--%20secret-token")
                .unwrap();
        }
        if enabled {
            until("it was told", || Ok(!provider.asked().is_empty())).unwrap();
            std::thread::sleep(Duration::from_millis(500));
            let told = provider.asked();
            assert_eq!(told.len(), 1, "once a day: {told:?}");
            let body = told[0].split("\r\n\r\n").nth(1).unwrap();
            assert!(told[0].starts_with("POST /report "), "{}", told[0]);
            assert!(body.contains("ip=45.7.7.7") && body.contains("categories=16%2C21"), "{body}");
            for private in ["secret-token", "shop.example", "users", "127.0.0.1"] {
                assert!(!body.contains(private), "{body}");
            }
        } else {
            std::thread::sleep(Duration::from_secs(1));
            assert!(provider.asked().is_empty(), "told without being asked to");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the harness owns its own clock")]
fn now() -> Instant {
    Instant::now()
}
