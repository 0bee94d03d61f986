//! Network namespaces of our own, and veth pairs between them. Nothing outside is touched.

use std::fs::File;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, bail};
use nix::sched::{CloneFlags, setns};

/// A network namespace that lives as long as this value.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes one called `sky-<hint>-<random>`, with its loopback up.
    pub fn new(hint: &str) -> anyhow::Result<Self> {
        let name = format!("sky-{hint}-{:08x}", getrandom::u32()?);
        run_command(Command::new("ip").args(["netns", "add", &name]))?;
        let netns = Self { name };
        netns.ip(&["link", "set", "lo", "up"])?;
        Ok(netns)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread of its own inside the namespace. Sockets made there stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        Self::enter(&self.name, work)
    }

    /// The same for the namespace called `name`, for whoever cannot hold on to it.
    pub fn enter<T: Send>(name: &str, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let handle = File::open(format!("/run/netns/{name}"))?;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(handle, CloneFlags::CLONE_NEWNET)?;
                work()
            });
            match inside.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// A command to be run inside. Only the network differs: `ip netns exec` would also bring a
    /// `/sys` of its own, and with it lose the pins.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg(program);
        command
    }

    /// Runs `ip` inside.
    pub fn ip(&self, arguments: &[&str]) -> anyhow::Result<()> {
        run_command(Command::new("ip").args(["-n", &self.name]).args(arguments))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // What still runs inside keeps it until it ends; its name is free at once.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).stderr(Stdio::null()).status();
    }
}

/// One end of a veth pair: where it is, its name, and its addresses with prefix lengths.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The namespace.
    pub netns: &'a Netns,
    /// The interface's name.
    pub interface: &'a str,
    /// For example `10.0.0.1/24`, `fd00::1/64`.
    pub addresses: &'a [&'a str],
}

/// Two ends joined; gone with either namespace.
#[derive(Debug)]
pub struct Veth;

impl Veth {
    /// Joins two ends and brings them up. Addresses can be used when it returns.
    pub fn join(one: End<'_>, other: End<'_>) -> anyhow::Result<Self> {
        run_command(
            Command::new("ip").args(["link", "add", one.interface, "netns", one.netns.name()]).args([
                "type",
                "veth",
                "peer",
                "name",
                other.interface,
                "netns",
                other.netns.name(),
            ]),
        )?;
        for end in [one, other] {
            end.netns.ip(&["link", "set", end.interface, "up"])?;
            for address in end.addresses {
                let mut add = vec!["addr", "add", address, "dev", end.interface];
                if address.contains(':') {
                    // No duplicate can be there, and the second it takes to be sure is a second.
                    add.push("nodad");
                }
                end.netns.ip(&add)?;
            }
        }
        Ok(Self)
    }
}

fn run_command(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
