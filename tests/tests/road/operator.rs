//! What an operator does, by the daemon's own commands.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::daemon;
use tests::http::{connect_from, get};
use tests::world::{HOST, World, gateway, honest_client};

use crate::attack::is_banned;

const PATIENCE: Duration = Duration::from_secs(5);

/// `skyshield …` inside the guarded host.
pub(crate) fn skyshield(world: &World, words: &[&str]) -> anyhow::Result<Output> {
    let mut command = world.host.command(&daemon::program()?.display().to_string());
    command.arg("--config").arg(world.config()).args(words);
    Ok(command.output()?)
}

/// The same with `--json`, which must succeed.
pub(crate) fn answer(world: &World, words: &[&str]) -> anyhow::Result<Value> {
    let output = skyshield(world, &[words, &["--json"]].concat())?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    Ok(serde_json::from_slice(&output.stdout)?)
}

pub(crate) fn bans_looks_and_lifts() -> anyhow::Result<()> {
    let world = World::new("")?;
    let daemon = world.start_daemon()?;
    for number in [1, 4] {
        let client = honest_client(number);
        let address = client.to_string();
        ensure!(world.ask(client, &get(HOST, "/"), PATIENCE)?.status == 200);
        let banned = answer(&world, &["ban", &address, "--ttl", "1h", "--reason", "a test"])?;
        ensure!(
            banned["source"] == address.as_str() && banned["ttl_seconds"].as_u64() > Some(3500),
            "{banned}"
        );
        ensure!(is_banned(&world, client)?, "the answer came before the ban");
        let again =
            world.clients.run(|| Ok(connect_from(client, gateway(client), Duration::from_millis(300))))?;
        ensure!(again.is_err(), "{client} could connect");
        let listed = answer(&world, &["decisions", &address])?;
        ensure!(
            listed["items"][0]["reason"] == "a test" && listed["items"][0]["origin"] == "operator",
            "{listed}"
        );
        answer(&world, &["lift", &address])?;
        ensure!(!is_banned(&world, client)?, "the answer came before the lift");
        ensure!(world.ask(client, &get(HOST, "/"), PATIENCE)?.status == 200);
        let twice = skyshield(&world, &["lift", &address])?;
        ensure!(twice.status.code() == Some(1), "{twice:?}");
    }
    // A prefix, and who it holds.
    answer(&world, &["ban", "10.66.32.0/24"])?;
    let inside = skyshield(&world, &["lift", "10.66.32.1"])?;
    let told = String::from_utf8_lossy(&inside.stderr).into_owned();
    ensure!(inside.status.code() == Some(1) && told.contains("10.66.32.0/24"), "{told}");
    daemon.stop().map(|_took| ())
}

pub(crate) fn with_the_daemon_dead() -> anyhow::Result<()> {
    let world = World::new("")?;
    let daemon = world.start_daemon()?;
    let client = honest_client(1);
    answer(&world, &["ban", &client.to_string()])?;
    let refused = skyshield(&world, &["detach"])?;
    ensure!(refused.status.code() == Some(1), "a living daemon's program is not taken away: {refused:?}");
    daemon.kill()?;
    let status = skyshield(&world, &["status", "--json"])?;
    ensure!(status.status.code() == Some(3), "{status:?}");
    let told = String::from_utf8_lossy(&status.stdout).into_owned();
    let told: Value = serde_json::from_str(told.lines().next().context("nothing was said")?)?;
    ensure!(told["kernel"]["bans"] == 1 && told["daemon"].is_null(), "{told}");
    ensure!(told["kernel"]["attached"][0]["mode"] == "native", "{told}");
    answer(&world, &["detach"])?;
    ensure!(world.kernel().is_err(), "something is still pinned");
    Ok(())
}

pub(crate) fn nobody_locks_himself_out() -> anyhow::Result<()> {
    let world = World::new("[never_ban]\nallow = [\"10.66.32.9\"]\n")?;
    let daemon = world.start_daemon()?;
    for (source, why) in [
        ("127.0.0.1", "loopback"),
        ("10.66.0.1", "own addresses"),
        ("fd66::1", "own addresses"),
        ("10.67.0.2", "the upstream"),
        ("10.66.32.9", "allow list"),
        ("0.0.0.0/0", "force"),
    ] {
        let refused = skyshield(&world, &["ban", source])?;
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(refused.status.code() == Some(1) && told.contains(why), "{source}: {told}");
    }
    // Even a ban of everyone does not reach the protected.
    answer(&world, &["ban", "0.0.0.0/0", "--force"])?;
    let spared = "10.66.32.9".parse()?;
    ensure!(
        world.ask(spared, &get(HOST, "/"), PATIENCE)?.status == 200,
        "who is on the allow list was cut off"
    );
    let client = honest_client(1);
    let other =
        world.clients.run(|| Ok(connect_from(client, gateway(client), Duration::from_millis(300))))?;
    ensure!(other.is_err(), "everyone was banned, and {client} could connect");
    // Who is let through now is, without a lift; and is not, once that is taken back.
    let whom = client.to_string();
    answer(&world, &["allow", "add", &whom, "--comment", "the office"])?;
    ensure!(world.ask(client, &get(HOST, "/"), PATIENCE)?.status == 200, "the allow list did not help");
    ensure!(skyshield(&world, &["allow", "check", &whom])?.status.code() == Some(0));
    answer(&world, &["allow", "remove", &whom])?;
    ensure!(skyshield(&world, &["allow", "check", &whom])?.status.code() == Some(1));
    let other =
        world.clients.run(|| Ok(connect_from(client, gateway(client), Duration::from_millis(300))))?;
    ensure!(other.is_err(), "an entry was taken back, and {client} could connect");
    answer(&world, &["lift", "0.0.0.0/0"])?;
    ensure!(world.ask(client, &get(HOST, "/"), PATIENCE)?.status == 200);
    daemon.stop().map(|_took| ())
}
