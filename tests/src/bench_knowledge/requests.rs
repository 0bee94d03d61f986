//! Requests of ever new sources, beside providers that are dead in every manner and beside none.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

use super::now;
use crate::figures::quantile;
use crate::loopback::Loopback;
use crate::standin::{Manner, StandIn};

const ROUNDS: u32 = 3;

struct World {
    name: &'static str,
    daemon: Loopback,
    provider: Option<StandIn>,
    times: Vec<Duration>,
}

pub(super) fn measure(requests: u32) -> Result<Value> {
    let application = StandIn::always(Manner::status(200, "welcome"))?;
    let dir = tempfile::tempdir()?;
    let key = dir.path().join("key");
    std::fs::write(&key, "0123456789abcdef")?;
    let manners = [
        ("none", None),
        ("silent", Some(Manner::Silent(Duration::from_secs(6)))),
        ("hangs_up", Some(Manner::HangUp)),
        ("endless", Some(Manner::Endless)),
        ("paused", Some(Manner::Say(429, vec!["Retry-After: 60".to_owned()], Vec::new()))),
        ("garbage", Some(Manner::status(200, "<html>"))),
    ];
    let mut worlds = Vec::new();
    for (name, manner) in manners {
        let provider = manner.map(StandIn::always).transpose()?;
        let asking = provider.as_ref().map_or(String::new(), |provider| {
            format!(
                "[reputation.abuseipdb]\nurl = \"{}\"\nkey_file = \"{}\"\nchecks_per_day = 100000\n",
                provider.url(),
                key.display()
            )
        });
        let gateway = format!(
            "upstream = \"{}\"\ntrusted_proxies = [\"127.0.0.1\"]\n\n[limits]\nenabled = false\n\n{asking}",
            application.address()
        );
        worlds.push(World { name, daemon: Loopback::start(&gateway)?, provider, times: Vec::new() });
    }
    let mut client = 0_u32;
    for _ in 0..ROUNDS {
        for world in &mut worlds {
            for _ in 0..requests {
                client += 1;
                let source = std::net::Ipv4Addr::from_bits(0x2d00_0000 + client);
                let request = format!(
                    "GET /?q=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\
                     X-Forwarded-For: {source}\r\nConnection: close\r\n\r\n"
                );
                let began = now();
                let answer = world.daemon.ask(request.as_bytes())?;
                world.times.push(began.elapsed());
                ensure!(answer.status == 200, "{}: {}", world.name, answer.status);
            }
        }
    }
    let mut figures = Map::new();
    for world in &mut worlds {
        let micros = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        figures.insert(
            world.name.to_owned(),
            json!({
                "p50_us": micros(quantile(&mut world.times, 0.5)),
                "p99_us": micros(quantile(&mut world.times, 0.99)),
                "asked": world.provider.as_ref().map_or(0, |provider| provider.asked().len()),
            }),
        );
    }
    Ok(Value::Object(figures))
}
