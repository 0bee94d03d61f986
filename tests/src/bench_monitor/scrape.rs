//! What a scrape costs a daemon that has seen much, and how many series it is.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::process::cpu;
use super::{now, quantile_ms};
use crate::http;
use crate::nginx::Nginx;
use crate::place::Place;

const SCRAPES: u32 = 50;
const SENDERS: u32 = 4;
/// Bans of one import.
const IMPORTED: u32 = 10_000;
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn measure(bans: u32, sources: u32) -> Result<Value> {
    let upstream = Nginx::start("location / { return 200; }")?;
    let gateway = format!("upstream = \"{}\"\ntrusted_proxies = [\"127.0.0.1\"]\n", upstream.address);
    let tables = format!("[dataplane]\nmax_bans = {}\n[metrics]\nnode_compat = true\n", bans.max(1000) * 2);
    let place = Place::new(&gateway, &tables)?;
    let daemon = place.start()?;
    for first in (0..bans).step_by(IMPORTED as usize) {
        let list = (first..bans.min(first + IMPORTED)).fold(String::new(), |mut list, at| {
            list.push_str(&Ipv4Addr::from_bits(0x0b00_0000 + at).to_string());
            list.push('\n');
            list
        });
        daemon.ask("POST", "/api/v1/decisions/import?ttl=4h", &list)?;
    }
    see(&place, sources)?;
    let localhost = IpAddr::from(Ipv4Addr::LOCALHOST);
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = http::connect_from(localhost, place.metrics, PATIENCE)?;
    let page = http::exchange(&mut stream, request)?;
    ensure!(page.status == 200, "{}", page.head);
    // What it does besides in as long a time is not the scrapes'.
    let begun = now();
    let (before, mut times) = (cpu(daemon.pid())?, Vec::new());
    for _ in 0..SCRAPES {
        let asked = now();
        http::exchange(&mut stream, request)?;
        times.push(asked.elapsed());
    }
    let (took, used) = (begun.elapsed(), cpu(daemon.pid())?.saturating_sub(before));
    let idle = cpu(daemon.pid())?;
    thread::sleep(took);
    let idle = cpu(daemon.pid())?.saturating_sub(idle);
    let text = String::from_utf8_lossy(&page.body);
    let series = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    let in_force: f64 = text
        .lines()
        .filter(|line| line.starts_with("skyshield_decisions_in_force"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum();
    ensure!(in_force >= f64::from(bans), "{in_force} of {bans} bans are in force");
    Ok(json!({
        "bans": bans,
        "sources": sources,
        "decisions_in_force": in_force,
        "series": series,
        "bytes": page.body.len(),
        "cpu_ms": used.saturating_sub(idle).as_secs_f64() * 1e3 / f64::from(SCRAPES),
        "p50_ms": quantile_ms(&mut times, 0.5),
        "p99_ms": quantile_ms(&mut times, 0.99),
    }))
}

/// Has the daemon see `count` sources, a request each.
fn see(place: &Place, count: u32) -> Result<()> {
    let gateway = place.gateway;
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            thread::spawn(move || -> Result<()> {
                let mut stream = http::connect_from(Ipv4Addr::LOCALHOST.into(), gateway, PATIENCE)?;
                let mut request = Vec::new();
                for at in (sender..count).step_by(SENDERS as usize) {
                    let source = Ipv4Addr::from_bits(0x2d00_0000 + at);
                    request.clear();
                    write!(
                        request,
                        "GET / HTTP/1.1\r\nHost: shop\r\nUser-Agent: Mozilla/5.0\r\nX-Forwarded-For: {source}\r\n\r\n"
                    )?;
                    let answer = if let Ok(answer) = http::exchange(&mut stream, &request) {
                        answer
                    } else {
                        // A connection is closed after so many requests.
                        stream = http::connect_from(Ipv4Addr::LOCALHOST.into(), gateway, PATIENCE)?;
                        http::exchange(&mut stream, &request)?
                    };
                    ensure!(answer.status == 200, "{source}: {}", answer.head);
                }
                Ok(())
            })
        })
        .collect();
    for sender in senders {
        sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
    }
    Ok(())
}
