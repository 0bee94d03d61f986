//! Everything passes in the kernel while an operator says so, and no longer: with the daemon, and without it.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use skyshield_common::Reason;
use tests::http::{connect_from, get};
use tests::world::{HOST, World, attacker, gateway};

use crate::operator::{answer, skyshield};
use crate::tuned::knock;

const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn lets_a_banned_source_through() -> anyhow::Result<()> {
    let world = World::new("")?;
    let daemon = world.start_daemon()?;
    for number in [1, 4] {
        let banned = attacker(number);
        answer(&world, &["ban", &banned.to_string()])?;
        ensure!(!connects(&world, banned)?, "{banned} is banned and could connect");
        let begun = answer(&world, &["bypass", "on", "--ttl", "1h", "--reason", "a test"])?;
        ensure!(begun["bypassed"] == true && begun["seconds_left"] == 3600, "{begun}");
        ensure!(connects(&world, banned)?, "{banned} could not connect, and everything is to pass");
        let refused = world.ask(banned, &get(HOST, "/"), PATIENCE)?;
        ensure!(refused.status == 403, "the doors go by the ban as ever: {refused:?}");
        let ended = answer(&world, &["bypass", "off"])?;
        ensure!(ended["bypassed"] == false && ended["seconds_left"] == 0, "{ended}");
        ensure!(!connects(&world, banned)?, "{banned} could connect after the end");
    }
    daemon.tells("the kernel side is bypassed: nothing is dropped there")?;
    daemon.tells("bypassed no more")?;
    let audit = answer(&world, &["audit"])?.to_string();
    ensure!(audit.contains("PUT /api/v1/kernel/bypass") && audit.contains("a test"), "{audit}");
    ensure!(audit.contains("DELETE /api/v1/kernel/bypass"), "{audit}");

    answer(&world, &["bypass", "on", "--ttl", "2s"])?;
    let health = daemon.json("/api/v1/monitoring/health/")?;
    let dataplane = &health["components"]["dataplane"];
    ensure!(dataplane["status"] == "degraded" && dataplane["bypass"]["bypassed"] == true, "{health}");
    ensure!(all_are(&world, Reason::Bypassed, attacker(1))?);
    thread::sleep(Duration::from_secs(2));
    ensure!(all_are(&world, Reason::BannedExact, attacker(1))?, "it has not ended by itself");
    let too_long = skyshield(&world, &["bypass", "on", "--ttl", "25h"])?;
    ensure!(too_long.status.code() == Some(2), "{too_long:?}");
    daemon.stop().map(|_took| ())
}

pub(crate) fn without_the_daemon() -> anyhow::Result<()> {
    let world = World::new("")?;
    let daemon = world.start_daemon()?;
    let banned = attacker(1);
    answer(&world, &["ban", &banned.to_string()])?;
    answer(&world, &["bypass", "on", "--ttl", "3s"])?;
    daemon.kill()?;
    ensure!(all_are(&world, Reason::Bypassed, banned)?);
    thread::sleep(Duration::from_secs(3));
    ensure!(all_are(&world, Reason::BannedExact, banned)?, "nobody was there to end it");

    let begun = answer(&world, &["bypass", "on", "--ttl", "1h"])?;
    ensure!(begun["bypassed"] == true && begun["audited"] == false, "{begun}");
    ensure!(all_are(&world, Reason::Bypassed, banned)?, "a dead daemon's program still drops");
    ensure!(doctor(&world)? == "failed", "the doctor does not tell of it");
    let status = String::from_utf8_lossy(&skyshield(&world, &["status"])?.stdout).into_owned();
    ensure!(status.contains("BYPASSED"), "{status}");
    let told = skyshield(&world, &["bypass", "off"])?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    ensure!(
        told.contains("hold; the daemon does not answer") && told.contains("why, is kept nowhere"),
        "{told}"
    );
    ensure!(doctor(&world)? == "ok", "the doctor tells of one that has ended");
    ensure!(all_are(&world, Reason::BannedExact, banned)?);

    answer(&world, &["bypass", "on"])?;
    let daemon = world.start_daemon()?;
    ensure!(all_are(&world, Reason::BannedExact, banned)?, "a start does not end it");
    daemon.tells("was bypassed, which this start has ended")?;
    daemon.stop().map(|_took| ())
}

/// What the doctor says of a bypass with the daemon dead.
fn doctor(world: &World) -> anyhow::Result<String> {
    let told = serde_json::from_slice::<Value>(&skyshield(world, &["--json", "doctor"])?.stdout)?;
    let checks = told["items"].as_array().context("no checks")?;
    let check = checks.iter().find(|check| check["check"] == "bypass").context("no such check")?;
    Ok(check["state"].as_str().unwrap_or_default().to_owned())
}

fn connects(world: &World, from: IpAddr) -> anyhow::Result<bool> {
    let connected =
        world.clients.run(|| Ok(connect_from(from, gateway(from), Duration::from_millis(300)).is_ok()))?;
    Ok(connected)
}

/// Whether ten datagrams are all counted under `reason`.
fn all_are(world: &World, reason: Reason, from: IpAddr) -> anyhow::Result<bool> {
    const KNOCKS: u64 = 10;
    Ok(knock(world, from, reason, KNOCKS)? >= KNOCKS)
}
