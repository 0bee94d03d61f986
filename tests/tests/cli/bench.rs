//! A daemon on loopback with everything in a folder of its own, and its commands.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use tests::daemon::{self, Daemon};
use tests::loopback::free;
use tests::shop::Shop;

/// Places on this host, and a folder, for one daemon.
pub(crate) struct Bench {
    dir: TempDir,
    /// Where the gateway listens.
    pub(crate) gateway: SocketAddr,
    /// Where the admin API listens.
    pub(crate) api: SocketAddr,
    /// Where the metrics page is.
    pub(crate) metrics: SocketAddr,
    /// What is behind the gateway.
    pub(crate) _shop: Shop,
}

impl Bench {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let shop = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let upstream = shop.local_addr()?;
        let bench = Self {
            dir: tempfile::tempdir()?,
            gateway: free()?,
            api: free()?,
            metrics: free()?,
            _shop: Shop::open(shop),
        };
        let text = format!(
            "[gateway]\nlisten = [\"{}\"]\nupstream = \"{upstream}\"\n\n[store]\ndir = \"{}\"\n\n\
             [api]\nlisten = \"{}\"\nmetrics_listen = \"{}\"\nsocket = \"{}\"\n",
            bench.gateway,
            bench.state().display(),
            bench.api,
            bench.metrics,
            bench.socket().display(),
        );
        std::fs::write(bench.config(), text)?;
        Ok(bench)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir().join("skyshield.toml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir().join("state")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir().join("admin.sock")
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn start(&self) -> anyhow::Result<Daemon> {
        Daemon::start(Command::new(daemon::program()?), &["--no-kernel"], &self.config(), self.dir())
    }

    /// Runs a start that is to fail.
    pub(crate) fn failed_start(&self) -> anyhow::Result<Output> {
        self.skyshield(&["run", "--no-kernel"])
    }

    /// `skyshield …` with this bench's configuration.
    pub(crate) fn skyshield(&self, words: &[&str]) -> anyhow::Result<Output> {
        Ok(Command::new(daemon::program()?).arg("--config").arg(self.config()).args(words).output()?)
    }

    /// The JSON that `skyshield … --json` prints, which must succeed.
    pub(crate) fn answer(&self, words: &[&str]) -> anyhow::Result<Value> {
        let output = self.skyshield(&[words, &["--json"]].concat())?;
        anyhow::ensure!(output.status.success(), "{words:?}: {}", said(&output));
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// All that a command has said.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
