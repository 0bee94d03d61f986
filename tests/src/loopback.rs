//! A daemon on loopback without a kernel side, with everything in a folder of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::daemon::{self, Daemon};
use crate::http::{self, Answer};
use crate::place::Place;

/// Longer than any answer here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running daemon, ended with its folder when dropped.
pub struct Loopback {
    /// The daemon.
    pub daemon: Daemon,
    /// Where its gateway listens.
    pub gateway: SocketAddr,
    place: Place,
}

impl Loopback {
    /// Starts a daemon with the keys `gateway` in `[gateway]`, and whatever tables follow them.
    pub fn start(gateway: &str) -> anyhow::Result<Self> {
        Self::by(Command::new(daemon::program()?), gateway)
    }

    /// The same, by `command`, which ends in the daemon's program.
    pub fn by(command: Command, gateway: &str) -> anyhow::Result<Self> {
        let place = Place::new(gateway, "")?;
        Ok(Self { daemon: place.start_by(command)?, gateway: place.gateway, place })
    }

    /// Stops the daemon and starts it anew in its place.
    pub fn restart(self) -> anyhow::Result<Self> {
        let Self { daemon, gateway, place } = self;
        daemon.stop()?;
        Ok(Self { daemon: place.start()?, gateway, place })
    }

    /// Kills the daemon and starts it anew in its place.
    pub fn crash(self) -> anyhow::Result<Self> {
        let Self { daemon, gateway, place } = self;
        daemon.kill()?;
        Ok(Self { daemon: place.start()?, gateway, place })
    }

    /// Its folder.
    pub fn dir(&self) -> &std::path::Path {
        self.place.dir()
    }

    /// The answer to `request`, sent on a connection of its own.
    pub fn ask(&self, request: &[u8]) -> anyhow::Result<Answer> {
        Ok(http::ask(Ipv4Addr::LOCALHOST.into(), self.gateway, request, PATIENCE)?)
    }

    /// The answer to a GET of `target` from `host`.
    pub fn get(&self, host: &str, target: &str) -> anyhow::Result<Answer> {
        self.ask(&http::get(host, target))
    }

    /// The value of the metric whose line begins with `series`, name and labels; 0 where there is none.
    pub fn metric(&self, series: &str) -> anyhow::Result<f64> {
        let page = self.daemon.get("/api/v1/monitoring/prometheus/")?;
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(line.map(str::parse).transpose()?.unwrap_or_default())
    }

    /// The state of `upstream`, as the health page names it.
    pub fn state_of(&self, upstream: SocketAddr) -> anyhow::Result<String> {
        let health = self.daemon.json("/api/v1/monitoring/health/")?;
        let all = health["components"]["gateway"]["upstreams"].as_array().cloned().unwrap_or_default();
        let found = all.iter().find(|found| found["upstream"] == upstream.to_string());
        Ok(found.and_then(|found| found["status"].as_str()).unwrap_or("unknown").to_owned())
    }
}

/// Asks `what` until it is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    for _ in 0..600 {
        if is_so()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("30 seconds, and not yet: {what}")
}

/// An address on loopback that nobody has, and that no other test and no connection is given: below
/// the ports that the kernel chooses from.
pub fn free() -> anyhow::Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const PORTS: Range<u16> = 20_000..30_000;
    let start = u16::try_from(std::process::id() % 9_000)?;
    for _ in PORTS {
        let step = (start + NEXT.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
        if let Ok(listener) = TcpListener::bind((IpAddr::from(Ipv4Addr::LOCALHOST), PORTS.start + step)) {
            return Ok(listener.local_addr()?);
        }
    }
    anyhow::bail!("no port is free")
}
