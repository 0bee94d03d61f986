//! A configuration after the other, under load.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, ensure};
use tests::loopback::Loopback;
use tests::shop::Shop;

use crate::count;
use crate::load::Load;

/// Sections that differ from one reload to the next: limits, headers, routes, upstreams' treatment.
const CHANGES: [&str; 4] = [
    "[gateway.headers]\nprofile = \"modern\"\n",
    "[gateway.limits]\nidle_secs = 61\nupstream_idle_connections = 8\n",
    "[[routes]]\nname = \"wiki\"\npaths = [\"/wiki/**\"]\ninspect = \"observe\"\n",
    "[risk]\nrefuse = 0.7\nban_secs = 60\n[inspect]\nvalues = 500\n",
];

pub(crate) fn under_load() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let upstream = listener.local_addr()?;
    let _shop = Shop::open(listener);
    let loopback =
        Loopback::start(&format!("upstream = \"{upstream}\"\n[limits.classes.default]\nrequests = 0\n"))?;
    let config = loopback.dir().join("skyshield.toml");
    let first = fs::read_to_string(&config)?;
    let load = Load::start(loopback.gateway, 2);
    let reloads = count(12, 1000);
    for number in 0..reloads {
        fs::write(&config, format!("{first}\n{}", CHANGES[number % CHANGES.len()]))?;
        let told = loopback.daemon.ask("POST", "/api/v1/reload", "")?;
        ensure!(!told.contains("\"applied\":[]"), "nothing was swapped: {told}");
        // Each is in force for some requests at least.
        let before = load.answered();
        while load.answered() < before + 4 {
            std::thread::yield_now();
        }
    }
    let answered = load.end()?;
    let counted = loopback.metric("skyshield_config_reloads_total{result=\"applied\"}")?;
    ensure!((counted - f64::from(u32::try_from(reloads)?)).abs() < 0.5, "{counted} counted of {reloads}");
    eprintln!("{reloads} reloads, {answered} requests, none failed");
    Ok(())
}
