//! A daemon without a kernel side that can be killed and started again in one place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use crate::daemon::{self, Daemon};
use crate::loopback::free;

/// A daemon without a kernel side, and its place, which outlives it.
pub struct Place {
    dir: TempDir,
    config: PathBuf,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// Where the metrics page is.
    pub metrics: SocketAddr,
    /// Where the admin API is.
    pub api: SocketAddr,
}

impl Place {
    /// A place with the tables `more` in its configuration, and `gateway_keys` in `[gateway]`.
    pub fn new(gateway_keys: &str, more: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (gateway, metrics, api) = (free()?, free()?, free()?);
        let at = dir.path().display();
        let text = format!(
            "[store]\ndir = \"{at}/state\"\n\n[api]\nlisten = \"{api}\"\nmetrics_listen = \"{metrics}\"\n\
             socket = \"{at}/admin.sock\"\n\n[gateway]\nlisten = [\"{gateway}\"]\n{gateway_keys}\n{more}\n"
        );
        let config = dir.path().join("skyshield.toml");
        std::fs::write(&config, text)?;
        Ok(Self { dir, config, gateway, metrics, api })
    }

    /// Starts the daemon of this place.
    pub fn start(&self) -> Result<Daemon> {
        self.start_by(Command::new(daemon::program()?))
    }

    /// The same by `command`, which ends in the daemon's program.
    pub fn start_by(&self, command: Command) -> Result<Daemon> {
        Daemon::start(command, &["--no-kernel"], &self.config, self.dir.path())
    }

    /// Changes its configuration, for the next start.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) -> Result<()> {
        let text = std::fs::read_to_string(&self.config)?;
        Ok(std::fs::write(&self.config, change(text))?)
    }

    /// What `skyshield` with `words` prints, and whether it ended well.
    pub fn command(&self, words: &[&str]) -> Result<(bool, String)> {
        let output =
            Command::new(daemon::program()?).args(words).arg("--config").arg(&self.config).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
