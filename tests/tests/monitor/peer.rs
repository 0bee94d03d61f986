//! Programs that a test starts and ends.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tests::loopback::until;

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
