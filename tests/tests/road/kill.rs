//! `kill -9` in mid-attack, at any moment: the ban holds, and the next daemon takes it up.

use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::traffic;
use tests::world::{HOST, HOST_V4, World, attacker, gateway};

use crate::attack::{dropped, is_banned};

const KILLS: u16 = 50;
const PATIENCE: Duration = Duration::from_secs(5);
/// A port where a datagram that got through would be seen.
const PORT: u16 = 4000;

pub(crate) fn fifty_times() -> anyhow::Result<()> {
    let world = World::new("")?;
    let first = attacker(1);
    let daemon = world.start_daemon()?;
    ensure!(world.ask(first, &traffic::attacks(HOST)[0].request, PATIENCE)?.status == 403);
    ensure!(is_banned(&world, first)?);
    let link = link(&world)?;
    let sink = world.host.run(|| Ok(UdpSocket::bind((HOST_V4, PORT))?))?;
    sink.set_nonblocking(true)?;
    // What the first connection still sends must not be taken for the flood's.
    drain(&world)?;
    let before = dropped(&world)?;

    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| -> anyhow::Result<()> {
        let flood = scope.spawn(|| world.clients.run(|| flood(first, &stop, &sent)));
        let outcome = kills(&world, daemon);
        stop.store(true, Ordering::Relaxed);
        match flood.join() {
            Ok(flooded) => outcome.and(flooded),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;

    drain(&world)?;
    let sent = sent.load(Ordering::Relaxed);
    let counted = dropped(&world)? - before;
    ensure!(sink.recv(&mut [0; 64]).is_err(), "a banned packet got through");
    ensure!(sent > 10_000, "the flood was only {sent} packets");
    // Attackers whose connections were cut by their bans send a few packets more; none too few.
    ensure!(counted >= sent, "{sent} packets were sent by a banned source, {counted} were dropped");
    ensure!(self::link(&world)? == link, "the link is not the first one any more");
    Ok(())
}

/// Kills and starts again, with a new attacker just before each kill.
fn kills(world: &World, first: tests::daemon::Daemon) -> anyhow::Result<()> {
    let mut daemon = first;
    for kill in 0..KILLS {
        let bad = attacker(100 + kill);
        let attacks = traffic::attacks(HOST);
        let request = &attacks[usize::from(kill) % attacks.len()].request;
        ensure!(world.ask(bad, request, PATIENCE)?.status == 403, "kill {kill}: not refused");
        // From at once, when nothing can be on disk, to when everything is.
        thread::sleep(Duration::from_millis(u64::from(kill % 10) * 15));
        daemon.kill()?;
        ensure!(is_banned(world, bad)?, "kill {kill}: the ban died with the daemon");
        daemon = world.start_daemon().with_context(|| format!("kill {kill}"))?;
        ensure!(is_banned(world, bad)?, "kill {kill}: the restart lost the ban");
        let decisions = daemon.decisions()?;
        ensure!(
            decisions.iter().any(|decision| decision["source"] == bad.to_string()),
            "kill {kill}: {bad} is in the kernel and not in the ledger: {decisions:?}"
        );
        ensure!(decisions.len() == usize::from(kill) + 2, "kill {kill}: {} decisions", decisions.len());
    }
    daemon.stop().map(|_took| ())
}

/// Banned packets, about five thousand a second, each counted before it leaves.
fn flood(from: IpAddr, stop: &AtomicBool, sent: &AtomicU64) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((from, 0))?;
    let mut to = gateway(from);
    to.set_port(PORT);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..10 {
            socket.send_to(b"still here", to)?;
            sent.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Waits until nothing more is dropped for a moment.
fn drain(world: &World) -> anyhow::Result<()> {
    let mut last = dropped(world)?;
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = dropped(world)?;
        if now == last {
            return Ok(());
        }
        last = now;
    }
}

fn link(world: &World) -> anyhow::Result<u32> {
    Ok(world.kernel()?.attached.first().context("attached to nothing")?.link_id)
}
