//! A guarded host with a web server of its own, which the daemon listens to.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;
use tests::daemon::Daemon;
use tests::nginx::Nginx;
use tests::world::{HOST_V4, HOST_V6, World};

/// Where nginx serves.
pub(crate) const PORT: u16 = 8080;
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The world, the daemon, and nginx.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) daemon: Daemon,
    _nginx: Nginx,
}

impl Place {
    /// Opens it; the daemon's `[tap]` has these lines more.
    pub(crate) fn open(tap: &str) -> anyhow::Result<Self> {
        let world = World::new(&format!("[tap]\nports = [{PORT}]\n{tap}\n"))?;
        let nginx = world.host.run(|| {
            let also = format!("listen [{HOST_V6}]:{PORT}; ");
            Nginx::at((HOST_V4, PORT).into(), &format!("{also}{}", tests::nginx::saying("shop")))
        })?;
        let daemon = world.start_daemon()?;
        Ok(Self { world, daemon, _nginx: nginx })
    }

    /// The web server's address in the family of `from`.
    pub(crate) fn server(from: IpAddr) -> SocketAddr {
        match from {
            IpAddr::V4(_) => (HOST_V4, PORT).into(),
            IpAddr::V6(_) => (HOST_V6, PORT).into(),
        }
    }

    /// One request from `from` to the web server itself.
    pub(crate) fn ask(&self, from: IpAddr, request: &[u8]) -> anyhow::Result<tests::http::Answer> {
        self.world.clients.run(|| Ok(tests::http::ask(from, Self::server(from), request, PATIENCE)?))
    }

    /// The latest incident of `address`, once there is one.
    pub(crate) fn incident_of(&self, address: IpAddr) -> anyhow::Result<Option<Value>> {
        let wanted = address.to_string();
        let page = self.daemon.json("/api/v1/incidents?limit=200")?;
        let found = page["items"].as_array().into_iter().flatten();
        Ok(found.into_iter().find(|one| one["address"] == wanted).cloned())
    }

    /// Waits until `done` says so; an error where it does not.
    pub(crate) fn until(what: &str, mut done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let started = now();
        while started.elapsed() < PATIENCE {
            if done()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        anyhow::bail!("not in time: {what}")
    }

    /// A counter or gauge of the metrics page, by the whole of its name and labels.
    pub(crate) fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let page = self.daemon.get("/api/v1/monitoring/prometheus/")?;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.with_context(|| format!("no {name} in\n{page}"))?.parse().context("not a number")
    }
}

#[expect(clippy::disallowed_methods, reason = "a test that waits owns its clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
