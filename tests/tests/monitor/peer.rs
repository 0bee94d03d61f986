//! Programs that a test starts and ends; a daemon that can be killed and started again in one place.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tests::daemon::{self, Daemon};
use tests::loopback::{free, until};

/// Why there is no `program` to test with; `None` if there is one.
pub(crate) fn missing(program: &str, package: &str) -> Option<String> {
    let probe = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_err().then(|| format!("needs {program} (apt-get install {package})"))
}

/// A running program, ended when dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts `command`, and waits until it listens at `address`.
    pub(crate) fn listening(mut command: Command, address: SocketAddr) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let running = Self(child.with_context(|| format!("{command:?}"))?);
        until(&format!("{command:?} listens"), || Ok(TcpStream::connect(address).is_ok()))?;
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A daemon without a kernel side, and its place, which outlives it.
pub(crate) struct Place {
    dir: TempDir,
    config: PathBuf,
    /// Where the gateway listens.
    pub(crate) gateway: SocketAddr,
    /// Where the metrics page is.
    pub(crate) metrics: SocketAddr,
    /// Where the admin API is.
    pub(crate) api: SocketAddr,
}

impl Place {
    /// A place with the tables `more` in its configuration, and the keys `gateway` in `[gateway]`.
    pub(crate) fn new(gateway_keys: &str, more: &str) -> Result<Self> {
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

    pub(crate) fn start(&self) -> Result<Daemon> {
        Daemon::start(Command::new(daemon::program()?), &["--no-kernel"], &self.config, self.dir.path())
    }

    /// What `skyshield` with `words` prints, and whether it ended well.
    pub(crate) fn command(&self, words: &[&str]) -> Result<(bool, String)> {
        let output =
            Command::new(daemon::program()?).args(words).arg("--config").arg(&self.config).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}
