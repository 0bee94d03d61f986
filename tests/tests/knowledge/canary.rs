//! A key is looked for wherever anything of the daemon's can be seen.

use tests::loopback::until;
use tests::standin::{Manner, StandIn};

use crate::shop::{Shop, key_file};

const KEY: &str = "canary-7f3a9c51e2d84b06";

/// Every manner in which a key may come back from whoever got it.
fn echoes() -> Vec<Manner> {
    vec![
        Manner::json(&format!("{{\"success\":false,\"message\":\"Invalid key {KEY} quota exceeded\"}}")),
        Manner::Say(302, vec![format!("Location: http://127.0.0.1:1/{KEY}")], Vec::new()),
        Manner::status(500, KEY),
        Manner::json(&format!("{{\"errors\":[{{\"detail\":\"{KEY}\"}}]}}")),
        Manner::HangUp,
        Manner::Babble,
        Manner::status(401, KEY),
    ]
}

#[test]
fn a_key_is_in_no_log_no_metric_and_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let key_file = key_file(dir.path(), KEY).unwrap();
    let mut manners = echoes().into_iter().cycle();
    let provider = StandIn::new(move |_| manners.next().unwrap_or(Manner::HangUp)).unwrap();
    let url = provider.url();
    let sentry = StandIn::always(Manner::json("{\"id\":\"1\"}")).unwrap();
    let shop = Shop::open(&format!(
        "[log]\nlevel = \"trace\"\n\n[limits]\nenabled = false\n\n\
         [sentry]\ndsn = \"http://0123456789abcdef0123456789abcdef@{}/7\"\ntraces_sample_rate = 1.0\n\n\
         [reputation.abuseipdb]\nurl = \"{url}\"\nkey_file = \"{key_file}\"\n\n\
         [reputation.abuseipdb.report]\nenabled = true\n\n\
         [reputation.ipqualityscore]\nurl = \"{url}/api/json/ip\"\nkey_file = \"{key_file}\"\nmin_worth = 0.0\n\n\
         [[feeds.lists]]\nname = \"blacklist\"\nurl = \"{url}/blacklist\"\nabuseipdb = true\naction = \"weigh\"\n",
        sentry.address()
    ))
    .unwrap();
    for n in 0..20 {
        shop.get(&format!("45.3.3.{n}"), "/?q=1%27%20union%20select%201--").unwrap();
    }
    let was_sent =
        |part: &str| provider.asked().iter().any(|asked| asked.contains(part) && asked.contains(KEY));
    until("the key was sent to all", || {
        Ok(was_sent("/check") && was_sent("/api/json/ip/") && was_sent("/report") && was_sent("/blacklist"))
    })
    .unwrap();
    // That a provider refuses its key is logged as an error, and such go to Sentry.
    until("Sentry was told", || {
        Ok(sentry.asked().iter().any(|told| told.contains("a provider of reputation is not asked for now")))
    })
    .unwrap();
    let daemon = &shop.daemon.daemon;
    let mut seen = vec![("log".to_owned(), daemon.log()), ("Sentry".to_owned(), sentry.asked().concat())];
    for path in [
        "/api/v1/monitoring/prometheus",
        "/api/v1/monitoring/health",
        "/api/v1/reputation",
        "/api/v1/reputation/45.3.3.1",
        "/api/v1/feeds",
        "/api/v1/places",
        "/api/v1/indicators",
        "/api/v1/audit",
        "/api/v1/incidents",
        "/api/v1/config",
        "/api/v1/decisions",
        "/api/v1/doctor",
        "/api/v1/exceptions",
        "/api/v1/history",
        "/api/v1/privacy/record",
        "/api/v1/monitoring/metrics",
        "/api/v1/monitoring/security",
        "/api/v1/monitoring/alerts",
        "/api/v1/security/threats",
        "/api/v1/explain/45.3.3.1",
        "/openapi.json",
    ] {
        seen.push((path.to_owned(), daemon.get(path).unwrap()));
    }
    for (place, text) in seen {
        assert!(!text.contains(KEY), "the key is in {place}");
    }
}
