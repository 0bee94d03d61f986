//! The demo: honest clients and attackers at a guarded shop, and what came of both.

mod attackers;
mod customers;
mod relay;
mod report;

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::world::{HOST_V4, HOST_V6, INTERFACE, World};
use report::{Report, Tally};

/// How often the demo says how things stand.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// What the demo is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// After how long it ends by itself; none is when interrupted.
    pub lasting: Option<Duration>,
    /// Whether the last line is one JSON object.
    pub json: bool,
}

/// Shows it. Whether everything was as it should be.
pub fn show(wish: Wish, interrupted: &AtomicBool) -> anyhow::Result<bool> {
    say(&format!(
        "building three hosts of our own: clients, {HOST_V4} ({HOST_V6}) with the daemon, the shop behind it"
    ))?;
    let world = World::new("")?;
    let daemon = world.start_daemon()?;
    let health = daemon.json("/api/v1/monitoring/health/")?;
    let xdp_mode = text(&health["components"]["dataplane"]["xdp_mode"]);
    say(&format!(
        "skyshield guards {INTERFACE} ({xdp_mode} XDP) and forwards to the shop at 10.67.0.2:8080"
    ))?;
    tell_of_admin(&world, &daemon)?;

    let tally = Tally::default();
    let stop = AtomicBool::new(false);
    let started = now();
    thread::scope(|scope| -> anyhow::Result<()> {
        let customers: Vec<_> = (0..customers::THREADS)
            .map(|shift| {
                scope.spawn({
                    let (world, tally, stop) = (&world, &tally, &stop);
                    move || customers::shop(world, shift, tally, stop)
                })
            })
            .collect();
        let attackers: Vec<_> = (0..attackers::THREADS)
            .map(|shift| {
                scope.spawn({
                    let (world, tally, stop) = (&world, &tally, &stop);
                    move || attackers::attack(world, shift, tally, stop)
                })
            })
            .collect();
        let ended = watch(&world, &tally, wish.lasting, started, interrupted);
        stop.store(true, Ordering::Relaxed);
        for thread in customers.into_iter().chain(attackers) {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tally.wrong(format!("{error:#}")),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        ended
    })?;

    let report = Report::of(&world, &daemon, &tally, &xdp_mode)?;
    daemon.stop().context("the daemon did not stop well")?;
    for line in report.lines() {
        say(&line)?;
    }
    if wish.json {
        say(&report.json().to_string())?;
    }
    Ok(report.is_well())
}

/// Says how things stand until the time is over.
fn watch(
    world: &World,
    tally: &Tally,
    lasting: Option<Duration>,
    started: Instant,
    interrupted: &AtomicBool,
) -> anyhow::Result<()> {
    let mut next = started + SAY_EVERY;
    loop {
        thread::sleep(Duration::from_millis(50));
        for line in tally.news() {
            say(&line)?;
        }
        let is_over = lasting.is_some_and(|lasting| started.elapsed() >= lasting);
        if is_over || interrupted.load(Ordering::Relaxed) {
            return Ok(());
        }
        if now() >= next {
            next += SAY_EVERY;
            let dropped = report::dropped(&world.kernel()?);
            say(&format!(
                "{:>4} s  {}, {dropped} packets dropped in the kernel",
                started.elapsed().as_secs(),
                tally.summary()
            ))?;
        }
    }
}

/// Opens the admin API of the guarded host on this host's loopback, and says how to come in.
fn tell_of_admin(world: &World, daemon: &Daemon) -> anyhow::Result<()> {
    let made: Value =
        serde_json::from_str(&daemon.ask("POST", "/api/v1/tokens", r#"{"name":"demo","role":"admin"}"#)?)?;
    let token = text(&made["token"]);
    let admin = relay::open(&world.host, 9464)?;
    let metrics = relay::open(&world.host, 9465)?;
    say(&format!("admin API   curl -H 'Authorization: Bearer {token}' http://{admin}/api/v1/decisions"))?;
    say(&format!("metrics     curl http://{metrics}/metrics"))
}

/// One line on standard output, at once.
fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "the harness owns its own clock")]
fn now() -> Instant {
    Instant::now()
}
