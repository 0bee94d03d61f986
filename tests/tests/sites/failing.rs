//! Upstreams that die, come back, and are all gone.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;
use tests::http::{self, field};
use tests::loopback::{Loopback, free, until};
use tests::nginx::{Nginx, saying};

/// Who answered how many of `count` requests, all of which must be answered.
fn answered(guard: &Loopback, count: usize) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut by_name = BTreeMap::new();
    for at in 0..count {
        let answer = guard.get("a", "/")?;
        ensure!(answer.status == 200, "request {at} of {count}: {}", answer.head);
        *by_name.entry(String::from_utf8(answer.body)?).or_default() += 1;
    }
    Ok(by_name)
}

pub(crate) fn one_dies() -> anyhow::Result<()> {
    for balance in ["round_robin", "least_connections"] {
        let mut all: Vec<Nginx> = ["a", "b", "c"].into_iter().map(Nginx::saying).collect::<Result<_, _>>()?;
        let places: Vec<_> = all.iter().map(|nginx| nginx.address).collect();
        let guard = Loopback::start(&format!(
            "upstreams = [\"{}\", \"{}\", \"{}\"]\nbalance = \"{balance}\"\n\
             [gateway.health]\npath = \"/\"\ninterval_secs = 1\ntimeout_secs = 1\n",
            places[0], places[1], places[2]
        ))?;
        let shares = answered(&guard, 90)?;
        ensure!(
            shares.len() == 3 && shares.values().all(|share| (25..=35).contains(share)),
            "{balance}: {shares:?}"
        );

        drop(all.remove(1));
        let shares = answered(&guard, 90)?;
        ensure!(!shares.contains_key("b") && shares.len() == 2, "{balance}: {shares:?}");
        until("the dead one is down", || Ok(guard.state_of(places[1])? == "down"))?;
        let up = |at: usize| format!("skyshield_upstream_up{{site=\"default\",upstream=\"{}\"}}", places[at]);
        ensure!(guard.metric(&up(1))? < 0.5 && guard.metric(&up(0))? > 0.5);
        let health = guard.daemon.json("/api/v1/monitoring/health/")?;
        ensure!(health["status"] == "ok", "the site is served: {health}");

        let _back = Nginx::at(places[1], &saying("b"))?;
        until("it is up again", || Ok(guard.state_of(places[1])? == "up"))?;
        let shares = answered(&guard, 90)?;
        ensure!(shares.len() == 3, "{balance}: {shares:?}");
    }
    Ok(())
}

pub(crate) fn all_are_down() -> anyhow::Result<()> {
    let alive = Nginx::saying("alive")?;
    let (gone, also_gone) = (free()?, free()?);
    let guard = Loopback::start(&format!(
        "upstream = \"{}\"\n[[gateway.sites]]\nname = \"shop\"\nhosts = [\"shop\"]\n\
         upstreams = [\"{gone}\", \"{also_gone}\"]\n\
         health = {{ path = \"/healthz\", interval_secs = 1, timeout_secs = 1, fall = 2 }}\n",
        alive.address
    ))?;
    until("the checks have told", || {
        Ok(guard.state_of(gone)? == "down" && guard.state_of(also_gone)? == "down")
    })?;
    let answer = guard.get("shop", "/")?;
    ensure!(answer.status == 503, "{}", answer.head);
    let proxy_status = field(&answer.head, "proxy-status");
    ensure!(proxy_status == Some("skyshield; error=destination_unavailable"), "{}", answer.head);
    for name in ["retry-after", "date", "x-skyshield-incident"] {
        ensure!(field(&answer.head, name).is_some(), "no {name}: {}", answer.head);
    }
    let json = guard.ask(b"GET / HTTP/1.1\r\nHost: shop\r\nAccept: application/json\r\n\r\n")?;
    ensure!(field(&json.head, "content-type") == Some("application/problem+json"), "{}", json.head);
    let health = guard.daemon.json("/api/v1/monitoring/health/")?;
    ensure!(health["status"] == "degraded", "{health}");
    ensure!(health["components"]["gateway"]["status"] == "degraded", "{health}");
    ensure!(guard.metric("skyshield_upstream_errors_total{kind=\"none_up\"}")? >= 2.0);
    ensure!(guard.get("other", "/")?.body == b"alive", "the other site is served");
    Ok(())
}

/// Takes requests, closes on every second one without an answer, and counts the POSTs it has read.
fn unreliable(posts: &Arc<AtomicUsize>) -> anyhow::Result<std::net::SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let posts = Arc::clone(posts);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), posts) = (stream, Arc::clone(&posts)) else { continue };
            std::thread::spawn(move || {
                for served in 0..2 {
                    let mut bytes = [0; 4096];
                    let Ok(count @ 1..) = stream.read(&mut bytes) else { return };
                    posts.fetch_add(usize::from(bytes[..count].starts_with(b"POST")), Ordering::SeqCst);
                    if served == 0 {
                        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    }
                }
            });
        }
    });
    Ok(address)
}

pub(crate) fn nothing_is_sent_twice() -> anyhow::Result<()> {
    let posts = Arc::new(AtomicUsize::new(0));
    let (first, second) = (unreliable(&posts)?, unreliable(&posts)?);
    let guard = Loopback::start(&format!("upstreams = [\"{first}\", \"{second}\"]\n"))?;
    for _ in 0..20 {
        ensure!(guard.get("a", "/")?.status == 200, "a GET is asked again on a connection of its own");
    }
    ensure!(guard.metric("skyshield_upstream_retries_total")? > 0.5);
    let asked = 20;
    for _ in 0..asked {
        let answer = guard.ask(&http::post("a", "/", "text/plain", "hello"))?;
        ensure!([200, 502].contains(&answer.status), "{}", answer.head);
    }
    let seen = posts.load(Ordering::SeqCst);
    ensure!(seen <= asked, "{seen} of {asked} POSTs were read: some were sent twice");
    Ok(())
}
