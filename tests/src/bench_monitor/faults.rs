//! Requests while whoever is told of things is dead, slow or answers garbage; and while the disk is full, or
//! takes nothing for a while.

mod disk;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use super::{now, quantile_ms};
use crate::daemon::Daemon;
use crate::http;
use crate::loopback::{free, until};
use crate::place::Place;
use crate::standin::{Manner, StandIn};
use disk::Disk;

const ROUNDS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(30);
const HELD: Duration = Duration::from_mins(10);

struct World {
    name: &'static str,
    /// Before the daemon, so that it goes first: who waits for a frozen disk cannot be ended.
    disk: Option<Disk>,
    place: Place,
    daemon: Daemon,
    times: Vec<Duration>,
}

/// A server of whatever speaks first: it greets with `greeting`, and listens to whatever is said.
fn greeter(greeting: &'static [u8]) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                // Whoever has gone hears nothing.
                let _gone = stream.write_all(greeting);
                let mut heard = [0; 4096];
                while stream.read(&mut heard).is_ok_and(|read| read > 0) {}
            });
        }
    });
    Ok(address)
}

/// Mail to there.
fn mail(to: SocketAddr) -> String {
    format!(
        "[alerts.email]\nserver = \"localhost\"\nport = {}\ntls = \"none\"\nfrom = \"a@b.example\"\nto = [\"c@d.example\"]\n",
        to.port()
    )
}

fn webhook(to: SocketAddr) -> String {
    format!("[[alerts.webhooks]]\nname = \"hook\"\nurl = \"http://{to}/\"\n")
}

/// Reports to there; what is reported is that a webhook refuses every message.
fn sentry(to: SocketAddr, refuses: &StandIn) -> String {
    format!(
        "[sentry]\ndsn = \"http://0123456789abcdef0123456789abcdef@{to}/7\"\ntraces_sample_rate = 1.0\n{}",
        webhook(refuses.address())
    )
}

pub(super) fn measure(requests: u32) -> Result<Value> {
    let application = StandIn::always(Manner::status(200, "welcome"))?;
    let (silent, babbles) = (StandIn::always(Manner::Silent(HELD))?, StandIn::always(Manner::Babble)?);
    let refuses = StandIn::always(Manner::status(404, ""))?;
    let (mute, garbage) = (greeter(b"")?, greeter(b"\x16\x03\x01 what is this\r\n")?);
    let tables = [
        ("none", String::new()),
        ("mail_dead", mail(free()?)),
        ("mail_slow", mail(mute)),
        ("mail_garbage", mail(garbage)),
        ("webhook_dead", webhook(free()?)),
        ("webhook_slow", webhook(silent.address())),
        ("webhook_garbage", webhook(babbles.address())),
        ("sentry_dead", sentry(free()?, &refuses)),
        ("sentry_slow", sentry(silent.address(), &refuses)),
        ("sentry_garbage", sentry(babbles.address(), &refuses)),
    ];
    let mut worlds = Vec::new();
    for (name, tables) in tables {
        worlds.push(world(name, application.address(), &tables, None)?);
    }
    for (name, disk) in [("disk_full", Disk::small()), ("disk_frozen", Disk::freezable())] {
        // Who may not mount has none.
        if let Ok(disk) = disk {
            worlds.push(world(name, application.address(), "", Some(disk))?);
        }
    }
    for world in &mut worlds {
        if let Some(disk) = &mut world.disk {
            disk.refuse()?;
        }
    }
    let mut client = 0_u32;
    for _ in 0..ROUNDS {
        for world in &mut worlds {
            for _ in 0..requests {
                client += 1;
                ask(world, client)?;
            }
        }
    }
    let mut figures = Map::new();
    let plain = quantile_ms(&mut worlds.first_mut().context("no worlds")?.times, 0.99);
    for world in &mut worlds {
        let p99 = quantile_ms(&mut world.times, 0.99);
        let undelivered = undelivered(world)?;
        let resident = resident(&world.daemon)?;
        let told = json!({
            "p50_ms": quantile_ms(&mut world.times, 0.5),
            "p99_ms": p99,
            "p99_slower_ms": p99 - plain,
            "undelivered": undelivered,
            "resident_mib": resident,
        });
        figures.insert(world.name.to_owned(), told);
    }
    for world in &mut worlds {
        if let Some(disk) = &mut world.disk {
            disk.relent()?;
        }
    }
    Ok(Value::Object(figures))
}

fn world(name: &'static str, application: SocketAddr, tables: &str, disk: Option<Disk>) -> Result<World> {
    let gateway = format!("upstream = \"{application}\"\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let always =
        "[[alerts.rules]]\nname = \"always\"\nmetric = \"process_resident_memory_bytes\"\nabove = 1\n";
    let tables = format!(
        "[limits]\nenabled = false\n[metrics]\ninterval_secs = 1\n\
         [alerts]\ngroup_wait_secs = 0\nrepeat_secs = 60\nmax_per_hour = 100\n{always}{tables}"
    );
    let place = Place::new(&gateway, &tables)?;
    if let Some(disk) = &disk {
        let (ours, its) = (place.dir().display().to_string(), disk.path().display().to_string());
        place.rewrite(|text| text.replacen(&format!("{ours}/state"), &format!("{its}/state"), 1))?;
    }
    let daemon = place.start()?;
    Ok(World { name, disk, place, daemon, times: Vec::new() })
}

fn ask(world: &mut World, client: u32) -> Result<()> {
    let source = Ipv4Addr::from_bits(0x2d00_0000 + client);
    // Every tenth is an attack: of that there is something to be kept.
    let query = if client.is_multiple_of(10) { "%3Cscript%3Ealert(1)%3C/script%3E" } else { "shoes" };
    let request = format!(
        "GET /?q={query} HTTP/1.1\r\nHost: shop\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\
         X-Forwarded-For: {source}\r\nConnection: close\r\n\r\n"
    );
    let asked = now();
    let answer = http::ask(Ipv4Addr::LOCALHOST.into(), world.place.gateway, request.as_bytes(), PATIENCE)
        .with_context(|| world.name)?;
    world.times.push(asked.elapsed());
    ensure!(matches!(answer.status, 200 | 403), "{}: {}", world.name, answer.status);
    Ok(())
}

/// What is counted of what did not arrive; nothing beside receivers that are well.
fn undelivered(world: &World) -> Result<f64> {
    const COUNTED: [(&str, &[&str]); 3] = [
        ("skyshield_alert_notices_total", &["failed", "given_up", "dropped"]),
        (
            "skyshield_sentry_reports_total",
            &["failed", "refused", "queue_full", "rate_limited", "over_budget"],
        ),
        ("skyshield_store_records_total", &["commit_failed", "dropped"]),
    ];
    let read = || -> Result<f64> {
        let answer = http::ask(
            Ipv4Addr::LOCALHOST.into(),
            world.place.metrics,
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            PATIENCE,
        )?;
        let page = String::from_utf8(answer.body)?;
        let of_line = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let counts = COUNTED.iter().any(|(name, outcomes)| {
                series.starts_with(name)
                    && outcomes.iter().any(|outcome| series.contains(&format!("=\"{outcome}\"")))
            });
            let waits = series == "skyshield_queue_length{queue=\"store\"}" && world.name == "disk_frozen";
            if counts || waits { value.parse::<f64>().ok() } else { None }
        };
        Ok(page.lines().filter_map(of_line).sum())
    };
    let is_well = world.name == "none";
    let mut found = read()?;
    if !is_well {
        until(&format!("{}: what is undelivered is counted", world.name), || {
            found = read()?;
            Ok(found > 0.0)
        })?;
    }
    Ok(found)
}

fn resident(daemon: &Daemon) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
