//! Debian's nginx as an upstream: one process, in a folder of its own.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::loopback::free;

/// Why there is no nginx to test with; `None` if there is one.
pub fn missing() -> Option<String> {
    let probe = Command::new("nginx").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_err().then(|| "needs nginx (apt-get install nginx-light)".to_owned())
}

/// A running nginx, killed when dropped.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    dir: TempDir,
}

impl Nginx {
    /// Starts one whose server block holds `server`.
    pub fn start(server: &str) -> anyhow::Result<Self> {
        Self::at(free()?, server)
    }

    /// Starts one at `address`.
    pub fn at(address: SocketAddr, server: &str) -> anyhow::Result<Self> {
        Self::by(Command::new("nginx"), address, "", server)
    }

    /// The same by `command`, with `http` beside its server block.
    pub fn by(mut command: Command, address: SocketAddr, http: &str, server: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let root = dir.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {root}/{kind}; "))
            .concat();
        let text = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/err warn;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; {temporary} root {root}; client_max_body_size 0; keepalive_requests 100000; {http}\n\
             server {{ listen {address}; {server} }} }}\n"
        );
        let config = dir.path().join("nginx.conf");
        std::fs::write(&config, text)?;
        command.arg("-e").arg(dir.path().join("err")).arg("-c").arg(&config).arg("-p").arg(dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut nginx = Self { child: command.spawn().context("nginx")?, address, dir };
        for _ in 0..500 {
            // Where it listens in a namespace of its own, its file of the process says so.
            if nginx.dir().join("pid").exists() || TcpStream::connect(address).is_ok() {
                return Ok(nginx);
            }
            if let Some(status) = nginx.child.try_wait()? {
                let said = std::fs::read_to_string(nginx.dir().join("err")).unwrap_or_default();
                bail!("nginx ended with {status}: {said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("nginx does not listen at {address}")
    }

    /// One that answers everything with `name`, and how it is.
    pub fn saying(name: &str) -> anyhow::Result<Self> {
        Self::at(free()?, &saying(name))
    }

    /// The folder it serves.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// The server block of one that answers everything with `name`.
pub fn saying(name: &str) -> String {
    format!(
        "location / {{ default_type text/plain; add_header X-Frame-Options SAMEORIGIN; return 200 '{name}'; }}"
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
