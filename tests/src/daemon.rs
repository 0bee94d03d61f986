//! The real daemon as a process of its own, driven as an operator would.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A start that takes longer than this has failed.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// The daemon's program: `SKYSHIELD_BIN`, which `cargo xtask` sets to what it has just built.
pub fn program() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("SKYSHIELD_BIN").map(PathBuf::from);
    let path = path.context("SKYSHIELD_BIN does not name the daemon: run this by `cargo xtask`")?;
    ensure!(path.exists(), "{} does not exist", path.display());
    Ok(path)
}

/// A daemon, killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// The process that serves: after a hand-over no child of ours.
    serving: u32,
    socket: PathBuf,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command`, to which `run`, `words` and the configuration are added, and waits until it is ready.
    pub fn start(mut command: Command, words: &[&str], config: &Path, dir: &Path) -> anyhow::Result<Self> {
        let log = dir.join("daemon.log");
        let lines = File::options().create(true).append(true).open(&log)?;
        command.arg("run").args(words).arg("--config").arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(lines);
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        let mut daemon = Self { serving: child.id(), child, socket: dir.join("admin.sock"), log };
        let started = now();
        while daemon.get("/readyz").is_err() {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("the daemon ended with {status}:\n{}", daemon.log());
            }
            ensure!(started.elapsed() < READY_WITHIN, "the daemon is not ready:\n{}", daemon.log());
            thread::sleep(Duration::from_millis(5));
        }
        Ok(daemon)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has logged `text`: lines are written by a thread of their own.
    pub fn tells(&self, text: &str) -> anyhow::Result<()> {
        let asked = now();
        while !self.log().contains(text) {
            ensure!(asked.elapsed() < READY_WITHIN, "not told: {text}\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.serving
    }

    /// Has it hand over to a successor, and waits until the two have changed places.
    pub fn upgrade(&mut self) -> anyhow::Result<()> {
        let told: Value = serde_json::from_str(&self.ask("POST", "/api/v1/upgrade", "")?)?;
        let successor = told["pid"].as_u64().context("no pid")?;
        let old = std::mem::replace(&mut self.serving, u32::try_from(successor)?);
        let asked = now();
        while is_running(old) {
            // Only the first is a child of ours, and to be waited for.
            self.child.try_wait()?;
            ensure!(asked.elapsed() < READY_WITHIN, "{old} does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Ends whoever serves as a service manager would, and waits for it.
    pub fn terminate(&self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.serving.cast_signed()), Signal::SIGTERM)?;
        let asked = now();
        while self.get("/healthz").is_ok() || is_running(self.serving) {
            ensure!(asked.elapsed() < READY_WITHIN, "{} does not end:\n{}", self.serving, self.log());
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The body of a successful `GET path` over the admin socket.
    pub fn get(&self, path: &str) -> anyhow::Result<String> {
        self.ask("GET", path, "")
    }

    /// The JSON of a successful `GET path` over the admin socket.
    pub fn json(&self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.get(path)?)?)
    }

    /// The body of a successful answer to `method path` with `body` over the admin socket.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: skyshield\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {head}\n{body}");
        Ok(body.to_owned())
    }

    /// Every decision in force.
    pub fn decisions(&self) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.json(&format!("/api/v1/decisions?limit=1000{cursor}"))?;
            all.extend(page["items"].as_array().into_iter().flatten().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Ends it as a crash would, between any two instructions.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it as a service manager would, and how long that took; an error where it does not end well.
    pub fn stop(mut self) -> anyhow::Result<Duration> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)?;
        let asked = now();
        while asked.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the daemon ended with {status}:\n{}", self.log());
                return Ok(asked.elapsed());
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("the daemon does not stop:\n{}", self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.serving != self.child.id() && is_running(self.serving) {
            let _ = kill(Pid::from_raw(self.serving.cast_signed()), Signal::SIGKILL);
        }
    }
}

/// Whether the process is there and no corpse.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[expect(clippy::disallowed_methods, reason = "the harness owns its own clock")]
fn now() -> Instant {
    Instant::now()
}
