//! `kill -9` in the middle of operators' bans and lifts: what was acknowledged is there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tests::bench_control::Chance;
use tests::world::World;

/// How often; `SKYSHIELD_KILLS` says otherwise.
const KILLS: u32 = 5;
/// Operators at work at a time.
const OPERATORS: u32 = 4;

/// What was acknowledged of each source: that it is banned, or that it is not.
type Acknowledged = BTreeMap<String, bool>;

pub(crate) fn decisions_survive_kills() -> anyhow::Result<()> {
    let kills = std::env::var("SKYSHIELD_KILLS").ok().and_then(|told| told.parse().ok()).unwrap_or(KILLS);
    let world = World::new("")?;
    let socket = world.dir().join("admin.sock");
    let (mut chance, mut acknowledged) = (Chance::new(11), Acknowledged::new());
    let mut total = 0;
    for kill in 0..kills {
        let daemon = world.start_daemon().with_context(|| format!("kill {kill}"))?;
        let held: BTreeSet<_> = daemon
            .decisions()?
            .into_iter()
            .map(|decision| decision["source"].as_str().unwrap_or_default().to_owned())
            .collect();
        for (source, &is_banned) in &acknowledged {
            ensure!(held.contains(source) == is_banned, "kill {kill}: {source} was acknowledged {is_banned}");
        }
        let kernel = world.kernel()?.bans.len();
        ensure!(kernel >= acknowledged.values().filter(|banned| **banned).count(), "kill {kill}: {kernel}");
        // Each source is one operator's, so that what was acknowledged last is known.
        let (stop, all) = (AtomicBool::new(false), Mutex::new(std::mem::take(&mut acknowledged)));
        thread::scope(|scope| -> anyhow::Result<()> {
            for operator in 0..OPERATORS {
                let seed = u64::from(kill * OPERATORS + operator);
                let (stop, all, socket) = (&stop, &all, &socket);
                scope.spawn(move || work(operator, seed, socket, stop, all));
            }
            thread::sleep(Duration::from_millis(30 + u64::from(chance.below(150))));
            let killed = daemon.kill();
            stop.store(true, Ordering::Relaxed);
            killed
        })?;
        acknowledged = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        total += acknowledged.len();
    }
    ensure!(total > kills as usize, "nobody was at work");
    println_figures(kills, acknowledged.len());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figure is what a longer run is for")]
fn println_figures(kills: u32, sources: usize) {
    println!("{kills} kills, {sources} sources: no acknowledged decision was lost");
}

/// Bans and lifts until the daemon is gone. What is not answered is not known, and told of no more.
fn work(operator: u32, seed: u64, socket: &Path, stop: &AtomicBool, all: &Mutex<Acknowledged>) {
    let mut chance = Chance::new(seed);
    while !stop.load(Ordering::Relaxed) {
        let source = format!("198.18.{operator}.{}", chance.below(200));
        let is_banned = all.lock().unwrap_or_else(PoisonError::into_inner).remove(&source);
        let ban = is_banned != Some(true) || chance.below(3) > 0;
        let outcome = if ban {
            ask(socket, "POST", "/api/v1/decisions", &format!("{{\"source\":\"{source}\",\"ttl\":\"1h\"}}"))
        } else {
            ask(socket, "DELETE", &format!("/api/v1/decisions?source={source}"), "")
        };
        let Ok(true) = outcome else { continue };
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(source, ban);
    }
}

/// Whether the daemon has acknowledged.
fn ask(socket: &Path, method: &str, path: &str, body: &str) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: skyshield\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 2"))
}
