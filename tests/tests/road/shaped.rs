//! What sources do over time: a suspect is slowed down and let go again, a guesser ends banned.

use std::net::{IpAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use skyshield_common::Reason;
use tests::http::{field, get, post};
use tests::world::{HOST, World, attacker, gateway};

use crate::attack::is_banned;

const PATIENCE: Duration = Duration::from_secs(5);
const KNOCKS: u64 = 100;

pub(crate) fn and_let_go() -> anyhow::Result<()> {
    // What would be refused elsewhere only makes suspect here.
    let world = World::new(
        "[risk]\nshape = 0.5\nrefuse = 0.99\nban = 1.0\nshape_packets_per_sec = 16\nshape_secs = 1\n",
    )?;
    let daemon = world.start_daemon()?;
    for number in [1, 4] {
        let (suspect, other) = (attacker(number), attacker(number + 4));
        ensure!(held_back(&world, suspect)? == 0, "nobody is slowed down for nothing");
        let attack = get(HOST, "/search?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E");
        let page = world.ask(suspect, &attack, PATIENCE)?;
        ensure!(page.status == 200, "{page:?}");
        eventually("it is slowed down", || shaped(&daemon, 1))?;
        let held = held_back(&world, suspect)?;
        ensure!(held > KNOCKS / 2, "{held} of {KNOCKS} packets were held back");
        ensure!(held_back(&world, other)? == 0, "another source was slowed down too");
        ensure!(daemon.decisions()?.is_empty(), "a suspect was banned");
        // Nobody does anything but wait.
        eventually("it is let go", || shaped(&daemon, 0))?;
        ensure!(held_back(&world, suspect)? == 0, "it is still slowed down");
    }
    daemon.stop().map(|_took| ())
}

pub(crate) fn guesser_ends_banned() -> anyhow::Result<()> {
    // The sample shop answers 200 to everything: so does a login page that failed.
    let world = World::new(
        "[behaviour.login]\nsuccess = [303]\nfailure = [200]\n\n[limits.classes.auth]\nrequests = 1000\n",
    )?;
    let (world, daemon) = (&world, world.start_daemon()?);
    let (guesser, honest) = (attacker(1), attacker(5));
    let login = |account: u32| {
        post(HOST, "/login", "application/x-www-form-urlencoded", &format!("user=person{account}&password=a"))
    };
    // At once: the detectors are told of outcomes ten times a second, and refuse before the last of a slow row.
    let pages = thread::scope(|scope| {
        let guesses =
            (0..20).map(|account| scope.spawn(move || world.ask(guesser, &login(account), PATIENCE)));
        let guesses: Vec<_> = guesses.collect();
        guesses.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    for (account, page) in pages.into_iter().enumerate() {
        let page = page.map_err(|_panic| anyhow::anyhow!("a guess died"))??;
        ensure!(page.status == 200, "guess {account} was refused");
    }
    ensure!(world.ask(honest, &login(1), PATIENCE)?.status == 200);
    eventually("the detectors have heard of it", || {
        Ok(daemon.json(&format!("/api/v1/explain/{guesser}"))?["score"].as_f64() > Some(0.9))
    })?;
    let refused = world.ask(guesser, &get(HOST, "/"), PATIENCE)?;
    ensure!(refused.status == 403, "{refused:?}");
    ensure!(is_banned(world, guesser)? && !is_banned(world, honest)?, "the guesser alone is banned");
    let id = field(&refused.head, "X-SkyShield-Incident").context("no incident on the page")?.to_owned();
    eventually("the incident is kept", || Ok(daemon.get(&format!("/api/v1/incidents/{id}")).is_ok()))?;
    let explained = daemon.json(&format!("/api/v1/explain/{id}"))?;
    let rules: Vec<_> =
        explained["incident"]["terms"].as_array().into_iter().flatten().map(|term| &term["rule"]).collect();
    ensure!(rules.contains(&&serde_json::json!("login.stuffing")), "{explained}");
    ensure!(explained["change"]["says"].as_str().is_some_and(|says| says.contains("source")), "{explained}");
    ensure!(world.ask(honest, &login(1), PATIENCE)?.status == 200, "who failed twice is nobody's guesser");
    daemon.stop().map(|_took| ())
}

/// How many of a hundred datagrams at once the rate holds back.
fn held_back(world: &World, from: IpAddr) -> anyhow::Result<u64> {
    let before = exceeded(world)?;
    world.clients.run(|| {
        let socket = UdpSocket::bind((from, 0))?;
        let mut to = gateway(from);
        to.set_port(9);
        for _ in 0..KNOCKS {
            // An answer to an earlier one may show here; it says nothing of this one.
            let _ = socket.send_to(b"knock", to);
        }
        Ok(())
    })?;
    thread::sleep(Duration::from_millis(50));
    Ok(exceeded(world)? - before)
}

fn exceeded(world: &World) -> anyhow::Result<u64> {
    let counters = world.kernel()?.counters;
    let (_, counter) = counters
        .iter()
        .find(|(reason, _)| *reason == Reason::RateExceeded)
        .context("the kernel does not count what is over the rate")?;
    Ok(counter.packets)
}

fn shaped(daemon: &tests::daemon::Daemon, count: u64) -> anyhow::Result<bool> {
    let metrics = daemon.get("/api/v1/monitoring/prometheus/")?;
    Ok(metrics.contains(&format!("skyshield_shaped_sources {count}\n")))
}

fn eventually(what: &str, mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    for _ in 0..200 {
        if holds()? {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("never came true: {what}")
}
