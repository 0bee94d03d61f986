//! A second interface that goes away and comes back under the real daemon.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use tests::daemon::{self, Daemon};
use tests::netns::{End, Veth};
use tests::world::{INTERFACE, World};

const SIDE: &str = "sky-side";
const SIDE_HOST: Ipv4Addr = Ipv4Addr::new(10, 68, 0, 1);
const SIDE_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 68, 0, 2);
/// How soon what has come back is guarded again.
const WITHIN: Duration = Duration::from_secs(1);

fn join(world: &World) -> anyhow::Result<()> {
    Veth::join(
        End { netns: &world.clients, interface: "sky-aside", addresses: &["10.68.0.2/24"] },
        End { netns: &world.host, interface: SIDE, addresses: &["10.68.0.1/24"] },
    )
    .map(|_| ())
}

pub(crate) fn come_back() -> anyhow::Result<()> {
    let world = World::new("")?;
    join(&world)?;
    let words = ["--interface", INTERFACE, "--interface", SIDE];
    let command = world.host.command(&daemon::program()?.display().to_string());
    let daemon = Daemon::start(command, &words, &world.config(), world.dir())?;
    ensure!(of(&daemon, SIDE)?["status"] == "ok", "{}", of(&daemon, SIDE)?);
    ensure!(health(&daemon)?["status"] == "ok");
    daemon.ask("POST", "/api/v1/decisions", &json!({ "source": SIDE_CLIENT }).to_string())?;
    let mut slowest = Duration::ZERO;
    for round in 0..5 {
        world.host.ip(&["link", "del", SIDE])?;
        until(|| Ok(of(&daemon, SIDE)?["xdp_mode"] == "gone"))?;
        let told = health(&daemon)?;
        ensure!(told["status"] == "degraded", "nobody is told: {told}");
        ensure!(of(&daemon, INTERFACE)?["status"] == "ok", "the other one: {told}");
        ensure!(gauge(&daemon)?.contains(" 0"), "{}", gauge(&daemon)?);
        join(&world)?;
        slowest = slowest.max(until(|| Ok(of(&daemon, SIDE)?["status"] == "ok"))?);
        ensure!(gauge(&daemon)?.contains(" 1") && health(&daemon)?["status"] == "ok");
        let sink = world.host.run(|| Ok(UdpSocket::bind((SIDE_HOST, 4000))?))?;
        sink.set_read_timeout(Some(Duration::from_millis(100)))?;
        world
            .clients
            .run(|| Ok(UdpSocket::bind((SIDE_CLIENT, 0))?.send_to(b"banned", (SIDE_HOST, 4000))?))?;
        ensure!(sink.recv(&mut [0; 16]).is_err(), "round {round}: back, and not guarded");
    }
    crate::report(&format!("back and guarded again after {slowest:?} at the most"));
    ensure!(slowest < WITHIN, "guarded again only after {slowest:?}");
    daemon.stop().map(|_took| ())
}

fn health(daemon: &Daemon) -> anyhow::Result<Value> {
    daemon.json("/api/v1/monitoring/health/")
}

/// What health says of an interface.
fn of(daemon: &Daemon, name: &str) -> anyhow::Result<Value> {
    let health = health(daemon)?;
    let all = health["components"]["dataplane"]["interfaces"].as_array().cloned().unwrap_or_default();
    Ok(all.into_iter().find(|one| one["name"] == name).unwrap_or_default())
}

fn gauge(daemon: &Daemon) -> anyhow::Result<String> {
    let page = daemon.get("/api/v1/monitoring/prometheus/")?;
    let wanted = format!("skyshield_interface_guarded{{interface=\"{SIDE}\"}}");
    Ok(page.lines().find(|line| line.starts_with(&wanted)).unwrap_or_default().to_owned())
}

/// How long it took to become so.
fn until(so: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<Duration> {
    #[expect(clippy::disallowed_methods, reason = "the test measures")]
    let begun = Instant::now();
    while !so()? {
        ensure!(begun.elapsed() < Duration::from_secs(5), "it never became so");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(begun.elapsed())
}
