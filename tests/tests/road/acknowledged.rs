//! `kill -9` in the middle of operators' bans and lifts: what was acknowledged is there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tests::bench_control::Chance;
use tests::loopback::until;
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
    let (mut total, mut kept) = (0, 0);
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
        let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
        let all = Mutex::new(std::mem::take(&mut acknowledged));
        thread::scope(|scope| -> anyhow::Result<()> {
            for operator in 0..OPERATORS {
                let seed = u64::from(kill * OPERATORS + operator);
                let (stop, answers, all, socket) = (&stop, &answers, &all, &socket);
                scope.spawn(move || work((operator, seed), socket, stop, answers, all));
            }
            // However slow the disk is, somebody is at work by then.
            let at_work = until("the first answer", || Ok(answers.load(Ordering::Relaxed) > 0));
            thread::sleep(Duration::from_millis(u64::from(chance.below(150))));
            let killed = daemon.kill();
            stop.store(true, Ordering::Relaxed);
            at_work.and(killed)
        })?;
        acknowledged = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        total += answers.into_inner();
        kept += acknowledged.len();
    }
    ensure!(kept > kills as usize, "nobody was at work");
    println_figures(kills, total, acknowledged.len());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figure is what a longer run is for")]
fn println_figures(kills: u32, answers: usize, sources: usize) {
    println!("{kills} kills, {answers} answers, {sources} sources: no acknowledged decision was lost");
}

/// Bans and lifts until the daemon is gone. What is not answered is not known, and told of no more.
fn work(
    (operator, seed): (u32, u64),
    socket: &Path,
    stop: &AtomicBool,
    answers: &AtomicUsize,
    all: &Mutex<Acknowledged>,
) {
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
        // Killed: what is known of the others is asked for after the restart.
        let Ok(is_acknowledged) = outcome else { return };
        if !is_acknowledged {
            continue;
        }
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(source, ban);
        answers.fetch_add(1, Ordering::Relaxed);
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
