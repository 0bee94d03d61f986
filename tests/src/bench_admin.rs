//! The admin API under a million incidents and a thousand readers: the real daemon, on loopback.

mod audience;
mod incidents;
mod readers;
mod verdicts;

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use crate::daemon::{self, Daemon};
use crate::loopback::free;
use crate::shop::Shop;

pub use audience::sit;

/// How much there is to be.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Incidents stored.
    pub incidents: u32,
    /// Readers of the stream.
    pub readers: usize,
    /// How long each round with and without readers takes.
    pub round: Duration,
    /// Rounds of each.
    pub rounds: u32,
}

/// What was measured, as one JSON object.
pub fn run(size: Size, say: &dyn Fn(&str)) -> anyhow::Result<Value> {
    skyshield::lifecycle::raise_descriptor_limit();
    let dir = tempfile::tempdir()?;
    let (gateway, api, metrics) = (free()?, free()?, free()?);
    let shop = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    let upstream = shop.local_addr()?;
    let _shop = Shop::open(shop);
    let place = dir.path().display();
    let config = dir.path().join("skyshield.toml");
    fs::write(
        &config,
        format!(
            "[store]\ndir = \"{place}/state\"\n[store.keep.incidents]\nrows = 10000000\nmebibytes = 65536\ndays = 36500\n\
             [api]\nlisten = \"{api}\"\nmetrics_listen = \"{metrics}\"\nsocket = \"{place}/admin.sock\"\n\
             [gateway]\nlisten = [\"{gateway}\"]\nupstream = \"{upstream}\"\n[log]\nlevel = \"error\"\n\
             [limits.classes.default]\nrequests = 1000000\nwindow_secs = 60\n"
        ),
    )?;
    say(&format!("writing {} incidents", size.incidents));
    let began = now();
    incidents::seed(&dir.path().join("state"), size.incidents)?;
    say(&format!("  in {:.1} s", began.elapsed().as_secs_f64()));
    let began = now();
    let daemon = Daemon::start(Command::new(daemon::program()?), &["--no-kernel"], &config, dir.path())?;
    say(&format!("the daemon was ready after {:.1} s", began.elapsed().as_secs_f64()));
    let pages = incidents::pages(&daemon, size.incidents, say)?;
    let export = incidents::export(&daemon, dir.path(), size.incidents, say)?;
    let places = Places { api, gateway, metrics, socket: dir.path().join("admin.sock") };
    let stream = readers::run(&daemon, &places, size, say)?;
    daemon.stop()?;
    Ok(json!({ "incidents": size.incidents, "pages": pages, "export": export, "stream": stream }))
}

/// Where the daemon is.
struct Places {
    api: SocketAddr,
    gateway: SocketAddr,
    metrics: SocketAddr,
    socket: std::path::PathBuf,
}

/// What a process holds, in KiB: a line of its status.
fn holds(pid: u32, line: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let figure =
        found.and_then(|text| text.split_whitespace().next()).context("no such line in the status")?;
    Ok(figure.parse()?)
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

#[expect(clippy::disallowed_methods, reason = "a bench has its own clock")]
fn now() -> Instant {
    Instant::now()
}
