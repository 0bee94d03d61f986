//! Business events: what was acknowledged is there, whatever happens; and what rules see of requests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::daemon::Daemon;
use tests::http;
use tests::loopback::until;
use tests::nginx::Nginx;
use tests::place::Place;

const KINDS: &str = "[[business.kinds]]\nname = \"orders\"\nkind = \"count\"\n\
     [[business.kinds]]\nname = \"revenue\"\nkind = \"sum\"\ncurrencies = [\"EUR\", \"USD\"]\n\
     [[business.kinds]]\nname = \"users\"\nkind = \"unique\"\n\
     [[business.kinds]]\nname = \"charts\"\nkind = \"count\"\n";
const PATIENCE: Duration = Duration::from_secs(10);
/// Events of one batch.
const BATCH: usize = 100;
const SENDERS: usize = 4;

fn token(daemon: &Daemon) -> Result<String> {
    let asked = json!({ "name": "app", "role": "admin", "scopes": ["business:ingest"] });
    let made: Value = serde_json::from_str(&daemon.ask("POST", "/api/v1/tokens", &asked.to_string())?)?;
    Ok(made["token"].as_str().context("no token")?.to_owned())
}

/// The batch of this number: as many orders as events, and amounts that tell which batches were counted.
fn body(number: usize) -> String {
    let events = (0..BATCH).map(|at| match at % 4 {
        0 => json!({ "kind": "orders" }),
        1 => json!({ "kind": "revenue", "amount": number * BATCH + at, "currency": "EUR" }),
        2 => json!({ "kind": "revenue", "amount": -i64::try_from(at).unwrap_or(0), "currency": "USD" }),
        _ => json!({ "kind": "users", "user": format!("{}", (number * BATCH + at) % 5000) }),
    });
    json!({ "events": events.collect::<Vec<_>>() }).to_string()
}

fn send(api: SocketAddr, token: &str, number: usize) -> Result<u16> {
    let body = body(number);
    let request = format!(
        "POST /api/v1/business/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: b{number}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Ok(http::ask(IpAddr::from(Ipv4Addr::LOCALHOST), api, request.as_bytes(), PATIENCE)?.status)
}

fn report(daemon: &Daemon) -> Result<(i64, i64, i64, i64)> {
    let report = daemon.json("/api/v1/monitoring/business/?period=24h")?;
    let number = |value: &Value| value.as_i64().with_context(|| format!("{report:#}"));
    let kinds = &report["kinds"];
    let amounts = &kinds[1]["amounts"];
    Ok((
        number(&kinds[0]["count"])?,
        number(&amounts[0]["amount"])?,
        number(&amounts[1]["amount"])?,
        number(&kinds[2]["users"])?,
    ))
}

/// What these batches come to.
fn sums(batches: impl Iterator<Item = usize>) -> (i64, i64, i64) {
    let mut sums = (0, 0, 0);
    for number in batches {
        for at in 0..BATCH {
            let signed = |value: usize| i64::try_from(value).unwrap_or(0);
            match at % 4 {
                0 => sums.0 += 1,
                1 => sums.1 += signed(number * BATCH + at),
                2 => sums.2 -= signed(at),
                _ => {}
            }
        }
    }
    sums
}

pub(crate) fn survives_a_kill() -> Result<()> {
    let place = Place::new("", KINDS)?;
    let mut daemon = place.start()?;
    let token = token(&daemon)?;
    let mut begun = 0;
    for _round in 0..2 {
        let ends = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (api, token, ends, first) = (place.api, token.clone(), Arc::clone(&ends), begun + sender);
                thread::spawn(move || {
                    let mut acknowledged = Vec::new();
                    let mut number = first;
                    while !ends.load(Ordering::Relaxed) {
                        match send(api, &token, number) {
                            Ok(200) => acknowledged.push(number),
                            // It was killed meanwhile: whether this one counts nobody can say.
                            Ok(_) | Err(_) => break,
                        }
                        number += SENDERS;
                    }
                    (acknowledged, number)
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(700));
        daemon.kill()?;
        ends.store(true, Ordering::Relaxed);
        let mut all: Vec<usize> = Vec::new();
        let mut tried = 0;
        for sender in senders {
            let (acknowledged, last) = sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))?;
            all.extend(acknowledged);
            tried = tried.max(last + 1);
        }
        ensure!(all.len() > 4, "only {} batches were acknowledged before the kill", all.len());
        daemon = place.start()?;
        let (orders, euros, ..) = report(&daemon)?;
        let before = sums(0..begun);
        let least = sums(all.iter().copied());
        ensure!(orders >= before.0 + least.0 && euros >= before.1 + least.1, "acknowledged, and lost");
        // Everything once more, as a sender does that does not know: nothing counts twice.
        for number in begun..tried {
            let status = send(place.api, &token, number)?;
            ensure!(status == 200, "batch {number}: {status}");
        }
        begun = tried;
        let (orders, euros, dollars, users) = report(&daemon)?;
        ensure!(
            (orders, euros, dollars) == sums(0..begun),
            "{:?}, not {:?}",
            (orders, euros, dollars),
            sums(0..begun)
        );
        let expected = i64::try_from((begun * BATCH / 4).min(1250))?;
        ensure!((users - expected).abs() * 50 <= expected, "{users} users, not {expected}");
    }
    Ok(())
}

pub(crate) fn observed() -> Result<()> {
    let upstream = Nginx::start(
        "location / { return 404; } location = /api/v2/charts { return 201; } location = /api/broken/charts { return 500; }",
    )?;
    let rules = "[[business.rules]]\nkind = \"charts\"\nmethods = [\"POST\"]\npaths = [\"/api/**/charts\"]\nstatuses = [\"2xx\"]\n\
         [[business.rules]]\nkind = \"users\"\nstatuses = [\"2xx\"]\nuser_cookie = \"session\"\n\
         [limits]\nenabled = false\n";
    let place = Place::new(&format!("upstream = \"{}\"\n", upstream.address), &format!("{KINDS}{rules}"))?;
    let daemon = place.start()?;
    let ask = |method: &str, target: &str, session: &str| {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: shop\r\nUser-Agent: Mozilla/5.0\r\nCookie: session={session}\r\nContent-Length: 0\r\n\r\n"
        );
        http::ask(IpAddr::from(Ipv4Addr::LOCALHOST), place.gateway, request.as_bytes(), PATIENCE)
    };
    for at in 0..6 {
        ensure!(ask("POST", "/api/v2/charts", &format!("u{}", at % 3))?.status == 201);
    }
    ask("POST", "/api/broken/charts", "u7")?;
    ask("GET", "/elsewhere", "u8")?;
    until("the charts are counted", || {
        let report = daemon.json("/api/v1/monitoring/business/?period=1h")?;
        Ok(report["kinds"][3]["count"] == 6 && report["kinds"][2]["users"] == 3)
    })
}
