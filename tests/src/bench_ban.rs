//! How soon a ban is in the kernel after the attack's last byte, while the gateway serves others; and how soon who is
//! let off gets through.

use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::loopback::until;
use crate::world::{HOST, World, attacker, gateway, honest_client};
use crate::{figures, http, traffic};

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Requests a second of honest clients.
    pub rate: u32,
    /// Attackers, one after the other.
    pub attackers: u16,
    /// Of them, how many are let off again.
    pub lifted: usize,
}

/// Honest clients, each on one connection that it keeps.
const CLIENTS: u16 = 32;
/// Between two attacks.
const APART: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a SYN that may be dropped is waited for.
const SYN: Duration = Duration::from_millis(2);

/// Measures.
pub fn run(size: Size, say: &dyn Fn(&str)) -> Result<Value> {
    let world = World::new("")?;
    let config = std::fs::read_to_string(world.config())?;
    // A client here stands for many.
    let config = config.replace("[dataplane]\n", "[dataplane]\nrate_packets_per_sec = 0\n");
    std::fs::write(world.config(), config)?;
    let daemon = world.start_daemon()?;
    let attackers: Vec<IpAddr> = (1..=size.attackers).map(|number| attacker(number * 4 + 1)).collect();
    let (served, refused, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let load = Load { world: &world, size, served: &served, refused: &refused, is_over: &is_over };
    say(&format!("{} attackers among {} requests a second", attackers.len(), size.rate));
    let begun = now();
    let (bans, secs, lifts) = thread::scope(|scope| {
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|number| scope.spawn(move || load.client(honest_client(number * 4 + 1))))
            .collect();
        let measured = attack(&world, &daemon, &attackers).and_then(|bans| {
            Ok((bans, begun.elapsed().as_secs_f64(), let_off(&world, &daemon, size.lifted)?))
        });
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().ok().context("a client panicked")??;
        }
        measured
    })?;
    daemon.stop()?;
    ensure!(refused.into_inner() == 0, "honest requests were refused");
    #[expect(clippy::cast_precision_loss, reason = "few enough")]
    let rate = served.into_inner() as f64 / begun.elapsed().as_secs_f64();
    Ok(json!({
        "served_per_sec": rate.round(),
        "attacks_secs": secs,
        "request_to_ban_ms": spread(bans),
        "lift_to_passing_ms": spread(lifts),
    }))
}

/// Honest requests, at a rate.
#[derive(Clone, Copy)]
struct Load<'a> {
    world: &'a World,
    size: Size,
    served: &'a AtomicU64,
    refused: &'a AtomicU64,
    is_over: &'a AtomicBool,
}

impl Load<'_> {
    fn client(&self, from: IpAddr) -> Result<()> {
        // What a page loads beside itself counts against no quota.
        let request = http::get(HOST, "/assets/site.css");
        let pause = Duration::from_secs(1) * u32::from(CLIENTS) / self.size.rate;
        self.world.clients.run(|| {
            give_way()?;
            let mut stream = http::connect_from(from, gateway(from), PATIENCE)?;
            stream.set_nodelay(true)?;
            let mut next = now();
            while !self.is_over.load(Ordering::Relaxed) {
                let answer = http::exchange(&mut stream, &request)?;
                let counted = if answer.status < 400 { self.served } else { self.refused };
                counted.fetch_add(1, Ordering::Relaxed);
                next += pause;
                thread::sleep(next.saturating_duration_since(now()));
            }
            Ok(())
        })
    }
}

/// Lets this thread's work come after the daemon's: clients have processors of their own.
fn give_way() -> Result<()> {
    let thread = nix::unistd::gettid().to_string();
    let status = Command::new("renice").args(["-n", "10", "-p", &thread]).stdout(Stdio::null()).status();
    ensure!(status.context("renice cannot be run")?.success(), "renice failed");
    Ok(())
}

/// What each attacker's ban took.
fn attack(world: &World, daemon: &Daemon, attackers: &[IpAddr]) -> Result<Vec<Duration>> {
    let attacks = traffic::attacks(HOST);
    for (from, attack) in attackers.iter().zip(attacks.iter().cycle()) {
        let answer = world.ask(*from, &attack.request, PATIENCE)?;
        ensure!(answer.status == 403, "{from} got {}", answer.status);
        thread::sleep(APART);
    }
    until("everybody is banned", || Ok(daemon.decisions()?.len() >= attackers.len()))?;
    let took = daemon.decisions()?;
    let took =
        took.iter().map(|decision| decision["enforced_after_ms"].as_f64().context("not in the kernel"));
    took.map(|millis| Ok(Duration::from_secs_f64(millis? / 1000.0))).collect()
}

/// From the word that lets each off to its first packet that passes.
fn let_off(world: &World, daemon: &Daemon, count: usize) -> Result<Vec<Duration>> {
    let decisions = daemon.decisions()?;
    let mut took = Vec::new();
    for decision in decisions.iter().take(count) {
        let (id, source) = (&decision["id"], decision["source"].as_str().context("no source")?);
        let from: IpAddr = source.parse()?;
        let passes = || world.clients.run(|| Ok(http::connect_from(from, gateway(from), SYN).is_ok()));
        ensure!(!passes()?, "{from} is banned and gets through");
        let begun = now();
        daemon.ask("DELETE", &format!("/api/v1/decisions/{id}"), "")?;
        while !passes()? {
            ensure!(begun.elapsed() < PATIENCE, "{from} stays shut out");
        }
        took.push(begun.elapsed());
    }
    Ok(took)
}

fn spread(mut times: Vec<Duration>) -> Value {
    let mut at = |share: f64| figures::quantile(&mut times, share).as_secs_f64() * 1000.0;
    json!({ "p50": at(0.5), "p99": at(0.99), "most": at(1.0) })
}

#[expect(clippy::disallowed_methods, reason = "a bench owns its clock")]
fn now() -> Instant {
    Instant::now()
}
