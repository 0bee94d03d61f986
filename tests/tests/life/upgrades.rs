//! A daemon after the other, under load: each hands over to the next.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, ensure};
use tests::loopback::{Loopback, until};
use tests::shop::Shop;

use crate::count;
use crate::load::Load;

fn shop() -> Result<(Shop, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let upstream = listener.local_addr()?;
    let text = format!(
        "upstream = \"{upstream}\"\n[gateway.limits]\ndrain_secs = 5\n[limits.classes.default]\nrequests = 0\n"
    );
    Ok((Shop::open(listener), text))
}

pub(crate) fn under_load() -> Result<()> {
    let (_shop, text) = shop()?;
    let mut loopback = Loopback::start(&text)?;
    loopback.daemon.ask("POST", "/api/v1/decisions", "{\"source\": \"203.0.113.7\", \"ttl\": \"1h\"}")?;
    let load = Load::start(loopback.gateway, 2);
    let upgrades = count(3, 100);
    for number in 1..=upgrades {
        let before = load.answered();
        let upgraded = loopback.daemon.upgrade();
        upgraded.with_context(|| format!("hand-over {number} of {upgrades}:\n{}", loopback.daemon.log()))?;
        // Each serves for some requests at least.
        until("requests are answered", || Ok(load.answered() > before + 10))?;
    }
    let answered = load.end()?;
    let decisions = loopback.daemon.decisions()?;
    ensure!(
        decisions.len() == 1,
        "of one decision there are {} after {upgrades} hand-overs",
        decisions.len()
    );
    eprintln!("{upgrades} upgrades, {answered} requests, none failed");
    loopback.daemon.terminate()
}

/// A configuration that is wrong is found before anything is let go of.
pub(crate) fn a_successor_that_cannot_start() -> Result<()> {
    let (_shop, text) = shop()?;
    let loopback = Loopback::start(&text)?;
    let config = loopback.dir().join("skyshield.toml");
    let first = std::fs::read_to_string(&config)?;
    std::fs::write(&config, format!("{first}\n[risk]\nrefuse = 1.8\n"))?;
    let load = Load::start(loopback.gateway, 2);
    let error = loopback.daemon.ask("POST", "/api/v1/upgrade", "").err().context("it was handed over")?;
    ensure!(error.to_string().contains(" 422 "), "{error:#}");
    loopback.daemon.tells("risk.refuse: 1.8").context("the successor does not say why")?;
    loopback.daemon.ask("POST", "/api/v1/decisions", "{\"source\": \"203.0.113.7\", \"ttl\": \"1h\"}")?;
    ensure!(load.end()? > 0, "nothing was answered");
    Ok(())
}
