//! Business events at a rate, until the daemon is killed: what was acknowledged is there, once.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::process::cpu;
use super::{now, quantile_ms};
use crate::daemon::Daemon;
use crate::http;
use crate::place::Place;

/// Events of a batch; a hundred batches a second are the rate.
const BATCH: usize = 100;
const BATCHES_PER_SEC: u32 = 100;
const SENDERS: usize = 4;
const USERS: usize = 100_000;
const PATIENCE: Duration = Duration::from_secs(30);
const KINDS: &str = "[[business.kinds]]\nname = \"orders\"\nkind = \"count\"\n\
     [[business.kinds]]\nname = \"revenue\"\nkind = \"sum\"\ncurrencies = [\"EUR\", \"USD\"]\n\
     [[business.kinds]]\nname = \"users\"\nkind = \"unique\"\n";

/// What one of the senders has sent.
#[derive(Default)]
struct Sent {
    acknowledged: BTreeSet<usize>,
    /// That nobody can say of whether it counts.
    unsure: BTreeSet<usize>,
    times: Vec<Duration>,
}

pub(super) fn measure(secs: u32) -> Result<Value> {
    let place = Place::new("", KINDS)?;
    let daemon = place.start()?;
    let asked = json!({ "name": "app", "role": "admin", "scopes": ["business:ingest"] });
    let made: Value = serde_json::from_str(&daemon.ask("POST", "/api/v1/tokens", &asked.to_string())?)?;
    let token = made["token"].as_str().context("no token")?.to_owned();
    let ends = Arc::new(AtomicBool::new(false));
    let (begun, before) = (now(), cpu(daemon.pid())?);
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (api, token, ends) = (place.api, token.clone(), Arc::clone(&ends));
            thread::spawn(move || send_all(sender, begun, api, &token, &ends))
        })
        .collect();
    thread::sleep(Duration::from_secs(secs.into()));
    let (took, used) = (begun.elapsed(), cpu(daemon.pid())?.saturating_sub(before));
    // In the midst of it.
    daemon.kill()?;
    ends.store(true, Ordering::Relaxed);
    let mut all = Sent::default();
    for sender in senders {
        let sent = sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))?;
        all.acknowledged.extend(sent.acknowledged);
        all.unsure.extend(sent.unsure);
        all.times.extend(sent.times);
    }
    let daemon = place.start()?;
    let kept = report(&daemon)?;
    let least = sums(all.acknowledged.iter().copied());
    ensure!(kept.0 >= least.0 && kept.1 >= least.1, "acknowledged, and lost: {kept:?}, not {least:?}");
    // As a sender does that does not know: all of them again, under the same keys.
    let mut stream = connect(place.api)?;
    for &number in all.unsure.iter().chain(all.acknowledged.iter().rev().take(500)) {
        ensure!(send(&mut stream, &token, number)? == 200, "batch {number} is refused");
    }
    let whole = || all.acknowledged.union(&all.unsure).copied();
    let (orders, euros, dollars, users) = report(&daemon)?;
    let exact = sums(whole());
    ensure!((orders, euros, dollars) == exact, "{:?}, not {exact:?}", (orders, euros, dollars));
    let known: BTreeSet<_> =
        whole().flat_map(|number| (3..BATCH).step_by(4).map(move |at| user(number, at))).collect();
    #[expect(clippy::cast_precision_loss, reason = "few enough to count")]
    let (batches, known) = (all.acknowledged.len() as f64, known.len() as f64);
    #[expect(clippy::cast_precision_loss, reason = "few enough to count")]
    let off = (users as f64 - known).abs() / known;
    ensure!(off <= 0.02, "{users} users by the sketch, {known} there were");
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let events = batches * BATCH as f64;
    Ok(json!({
        "seconds": took.as_secs_f64(),
        "events_acknowledged": events,
        "events_per_sec": events / took.as_secs_f64(),
        "lost": 0,
        "counted_twice": 0,
        "revenue": { "EUR": euros, "USD": dollars, "is_exact": true },
        "users": { "sketch": users, "true": known, "off_ratio": off },
        "cores": used.as_secs_f64() / took.as_secs_f64(),
        "p50_ms": quantile_ms(&mut all.times, 0.5),
        "p99_ms": quantile_ms(&mut all.times, 0.99),
    }))
}

/// Sends every [`SENDERS`]th batch when it is due, until the daemon is gone.
fn send_all(sender: usize, begun: Instant, api: SocketAddr, token: &str, ends: &AtomicBool) -> Sent {
    let mut sent = Sent::default();
    let Ok(mut stream) = connect(api) else { return sent };
    for number in (sender..).step_by(SENDERS) {
        let due =
            begun + Duration::from_secs(1) * u32::try_from(number).unwrap_or(u32::MAX) / BATCHES_PER_SEC;
        thread::sleep(due.saturating_duration_since(now()));
        if ends.load(Ordering::Relaxed) {
            break;
        }
        let asked = now();
        if let Ok(200) = send(&mut stream, token, number) {
            sent.acknowledged.insert(number);
            sent.times.push(asked.elapsed());
        } else {
            // It was killed meanwhile.
            sent.unsure.insert(number);
            break;
        }
    }
    sent
}

fn connect(api: SocketAddr) -> Result<TcpStream> {
    Ok(http::connect_from(Ipv4Addr::LOCALHOST.into(), api, PATIENCE)?)
}

fn user(number: usize, at: usize) -> usize {
    (number * BATCH + at) % USERS
}

fn send(stream: &mut TcpStream, token: &str, number: usize) -> Result<u16> {
    let events = (0..BATCH).map(|at| match at % 4 {
        0 => json!({ "kind": "orders" }),
        1 => json!({ "kind": "revenue", "amount": number * BATCH + at, "currency": "EUR" }),
        2 => json!({ "kind": "revenue", "amount": -i64::try_from(at).unwrap_or(0), "currency": "USD" }),
        _ => json!({ "kind": "users", "user": format!("u{}", user(number, at)) }),
    });
    let body = json!({ "events": events.collect::<Vec<_>>() }).to_string();
    let request = format!(
        "POST /api/v1/business/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Idempotency-Key: b{number}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Ok(http::exchange(stream, request.as_bytes())?.status)
}

/// Orders, euros and dollars that these batches come to.
fn sums(batches: impl Iterator<Item = usize>) -> (i64, i64, i64) {
    let signed = |value: usize| i64::try_from(value).unwrap_or(0);
    batches.fold((0, 0, 0), |sums, number| {
        (0..BATCH).fold(sums, |(orders, euros, dollars), at| match at % 4 {
            0 => (orders + 1, euros, dollars),
            1 => (orders, euros + signed(number * BATCH + at), dollars),
            2 => (orders, euros, dollars - signed(at)),
            _ => (orders, euros, dollars),
        })
    })
}

/// The same, and users, as the daemon tells it.
fn report(daemon: &Daemon) -> Result<(i64, i64, i64, i64)> {
    let report = daemon.json("/api/v1/monitoring/business/?period=24h")?;
    let number = |value: &Value| value.as_i64().with_context(|| format!("{report:#}"));
    let (kinds, amounts) = (&report["kinds"], &report["kinds"][1]["amounts"]);
    Ok((
        number(&kinds[0]["count"])?,
        number(&amounts[0]["amount"])?,
        number(&amounts[1]["amount"])?,
        number(&kinds[2]["users"])?,
    ))
}
