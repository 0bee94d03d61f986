//! Faults of the daemon, before a stand-in for Sentry that speaks its envelope protocol.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::loopback::until;
use tests::place::Place;
use tests::standin::{Manner, StandIn};

/// The events in what it was sent: an envelope is a header, and an item's header and the item, a line each.
fn events(sentry: &StandIn) -> Vec<Value> {
    let event = |request: String| {
        let (_, body) = request.split_once("\r\n\r\n")?;
        let mut lines = body.lines().map(serde_json::from_str::<Value>);
        let (_header, item, event) = (lines.next()?.ok()?, lines.next()?.ok()?, lines.next()?.ok()?);
        (item["type"] == "event").then_some(event)
    };
    sentry.asked().into_iter().filter_map(event).collect()
}

pub(crate) fn gets_faults_and_no_attacks() -> Result<()> {
    let sentry = StandIn::always(Manner::json("{\"id\":\"1\"}"))?;
    // A webhook that refuses every message is a fault that the daemon logs as one.
    let hook = StandIn::always(Manner::status(404, "no"))?;
    let application = StandIn::always(Manner::status(200, "welcome"))?;
    let tables = format!(
        "[sentry]\ndsn = \"http://0123456789abcdef0123456789abcdef@{}/7\"\nenvironment = \"staging\"\n\
         traces_sample_rate = 1.0\n[metrics]\ninterval_secs = 1\n[alerts]\ngroup_wait_secs = 0\n\
         [[alerts.rules]]\nname = \"always\"\nmetric = \"process_resident_memory_bytes\"\nabove = 1\n\
         [[alerts.webhooks]]\nname = \"hook\"\nurl = \"{}/alerts?token=hunter2\"\n",
        sentry.address(),
        hook.url()
    );
    let gateway = format!("upstream = \"{}\"\ntrusted_proxies = [\"127.0.0.1\"]\n", application.address());
    let place = Place::new(&gateway, &tables)?;
    let daemon = place.start()?;
    let ask = |target: &str| {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: shop\r\nUser-Agent: Mozilla/5.0\r\nX-Forwarded-For: 45.1.2.3\r\n\r\n"
        );
        let localhost = std::net::Ipv4Addr::LOCALHOST.into();
        tests::http::ask(localhost, place.gateway, request.as_bytes(), std::time::Duration::from_secs(10))
    };
    ensure!(ask("/?q=%3Cscript%3Ealert(1)%3C/script%3E")?.status == 403);
    ensure!(ask("/welcome")?.status == 200 || ask("/welcome")?.status == 403);
    until("the fault is reported", || Ok(!events(&sentry).is_empty()))?;
    let event = events(&sentry).into_iter().next().context("no event")?;
    let text = event.to_string();
    // An error is what an event is where it says nothing else.
    ensure!(
        event["environment"] == "staging" && event["level"].as_str().is_none_or(|level| level == "error")
    );
    ensure!(event["release"].as_str().is_some_and(|release| release.starts_with("skyshield@")), "{event:#}");
    ensure!(text.contains("an alert was refused"), "{event:#}");
    ensure!(event["tags"]["kernel_side"] == "off", "{event:#}");
    until("a request's time is reported", || {
        Ok(sentry.asked().iter().any(|asked| asked.contains("\"type\":\"transaction\"")))
    })?;
    let all = sentry.asked().concat();
    for secret in ["hunter2", "45.1.2.3", "script"] {
        ensure!(!all.contains(secret), "`{secret}` was reported");
    }
    ensure!(
        all.contains("POST /api/7/envelope/") && all.contains("sentry_key=0123456789abcdef0123456789abcdef")
    );
    let page = daemon.get("/api/v1/monitoring/prometheus/")?;
    let sent = page.lines().find(|line| line.starts_with("skyshield_sentry") && line.contains("\"sent\""));
    ensure!(sent.is_some_and(|line| !line.ends_with(" 0")), "{sent:?}");
    Ok(())
}
