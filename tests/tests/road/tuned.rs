//! What a reload takes up in the running kernel: rates and rules, and what goes back with a trial.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use skyshield_common::Reason;
use tests::daemon::Daemon;
use tests::world::{World, attacker, gateway};

const KNOCKS: u64 = 100;
/// A burst of sixteen, and hardly more while a test knocks.
const SLOW: &str = "rate_packets_per_sec = 16\nrate_burst = 16\n";
const RULE: &str =
    "\n[[dataplane.rules]]\nname = \"knocks\"\nprotocol = \"udp\"\nport = 9\naction = \"drop\"\n";

pub(crate) fn by_a_reload() -> anyhow::Result<()> {
    let world = World::new("")?;
    let daemon = world.start_daemon()?;
    let original = fs::read_to_string(world.config())?;
    let before = world.kernel()?.attached;
    ensure!(
        knock(&world, attacker(1), Reason::RateExceeded, KNOCKS)? == 0,
        "nobody is over the rate at first"
    );

    let slow = original.replace("[dataplane]\n", &format!("[dataplane]\n{SLOW}"));
    let told = reload(&world, &daemon, &slow)?;
    let keys = json!(["dataplane.rate_burst", "dataplane.rate_packets_per_sec"]);
    ensure!(told["applied"] == keys && told["needs_restart"] == json!([]), "{told}");
    for number in [2, 4] {
        let over = knock(&world, attacker(number), Reason::RateExceeded, KNOCKS)?;
        ensure!(over > KNOCKS / 2, "the new rate holds back {over} of {KNOCKS}");
    }

    let dry = slow.replace("[dataplane]\n", "[dataplane]\ndry_run = true\n");
    let file = world.dir().join("dry.toml");
    fs::write(&file, dry)?;
    daemon.ask("POST", "/api/v1/apply", &json!({ "file": file, "confirm": "2s" }).to_string())?;
    let spared = knock(&world, attacker(3), Reason::DryRunRateExceeded, KNOCKS)?;
    ensure!(spared > KNOCKS / 2, "on trial {spared} of {KNOCKS} are spared");
    daemon.tells("is rolled back")?;
    let over = knock(&world, attacker(5), Reason::RateExceeded, KNOCKS)?;
    ensure!(over > KNOCKS / 2, "after the trial {over} of {KNOCKS} are held back");

    let told = reload(&world, &daemon, &format!("{original}{RULE}"))?;
    ensure!(
        told["applied"].as_array().is_some_and(|keys| keys.contains(&json!("dataplane.rules"))),
        "{told}"
    );
    for number in [6, 8] {
        let dropped = knock(&world, attacker(number), Reason::RuleDropped, KNOCKS)?;
        ensure!(dropped == KNOCKS, "the new rule drops {dropped} of {KNOCKS}");
    }
    let seen = daemon.json("/api/v1/kernel")?;
    ensure!(seen["hits"][0]["name"] == "knocks" && seen["hits"][0]["packets"] == 2 * KNOCKS, "{seen}");
    reload(&world, &daemon, &original)?;
    ensure!(knock(&world, attacker(6), Reason::RuleDropped, KNOCKS)? == 0, "a rule that is gone still drops");
    // Who owed at sixteen a second owes nothing at ten thousand.
    ensure!(
        knock(&world, attacker(2), Reason::RateExceeded, KNOCKS)? == 0,
        "the rate of before still holds back"
    );
    ensure!(world.kernel()?.attached == before, "the program was not left where it was");
    daemon.stop().map(|_took| ())
}

pub(crate) fn but_no_table_of_flows() -> anyhow::Result<()> {
    let world = World::new("")?;
    let daemon = world.start_daemon()?;
    let original = fs::read_to_string(world.config())?;
    let counted = original.replace("[dataplane]\n", "[dataplane]\nflows_per_sec = 1\n");
    let told = reload(&world, &daemon, &counted)?;
    let key = json!(["dataplane.flows_per_sec"]);
    ensure!(told["needs_restart"] == key && told["applied"] == json!([]), "{told}");
    ensure!(
        knock(&world, attacker(1), Reason::FlowRateExceeded, KNOCKS)? == 0,
        "flows are counted without their table"
    );
    daemon.stop()?;
    let daemon = world.start_daemon()?;
    let told = reload(&world, &daemon, &original)?;
    ensure!(told["applied"] == key && told["needs_restart"] == json!([]), "{told}");
    daemon.stop().map(|_took| ())
}

fn reload(world: &World, daemon: &Daemon, text: &str) -> anyhow::Result<Value> {
    fs::write(world.config(), text)?;
    Ok(serde_json::from_str(&daemon.ask("POST", "/api/v1/reload", "")?)?)
}

/// How many of so many datagrams at once, each from a port of its own, are counted under `reason`; others' packets may
/// be, too.
pub(crate) fn knock(world: &World, from: IpAddr, reason: Reason, knocks: u64) -> anyhow::Result<u64> {
    let before = counted(world, reason)?;
    world.clients.run(|| {
        let mut to = gateway(from);
        to.set_port(9);
        for _ in 0..knocks {
            UdpSocket::bind((from, 0))?.send_to(b"knock", to)?;
        }
        Ok(())
    })?;
    thread::sleep(Duration::from_millis(50));
    Ok(counted(world, reason)? - before)
}

fn counted(world: &World, reason: Reason) -> anyhow::Result<u64> {
    let counters = world.kernel()?.counters;
    let found = counters.iter().find(|(counted, _)| *counted == reason);
    Ok(found.with_context(|| format!("the kernel does not count {reason:?}"))?.1.packets)
}
