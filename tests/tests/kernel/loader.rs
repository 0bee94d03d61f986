//! The tests' daemon: this program once more, to be killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use skyshield::dataplane::{Config, Kernel};
use skyshield::engine::source::Source;

use crate::bench::{Bench, entry};

const ASKED: &str = "--be-the-loader";

#[derive(Serialize, Deserialize)]
struct Order {
    config: Config,
    bans: Vec<(Source, Option<u64>)>,
}

/// A daemon that runs, and is killed when it is dropped.
pub(crate) struct Loader(Child);

impl Loader {
    /// Starts one and waits until its bans (with milliseconds to live) are in the kernel.
    pub(crate) fn start(
        bench: &Bench,
        config: &Config,
        bans: &[(Source, Option<u64>)],
    ) -> anyhow::Result<Self> {
        Self::start_under(bench, &[], config, bans)
    }

    /// [`Self::start`] by way of another command, which runs what follows it.
    pub(crate) fn start_under(
        bench: &Bench,
        wrapper: &[&str],
        config: &Config,
        bans: &[(Source, Option<u64>)],
    ) -> anyhow::Result<Self> {
        let order = Order { config: config.clone(), bans: bans.to_vec() };
        let program = std::env::current_exe()?;
        let program = program.to_string_lossy();
        let [first, rest @ ..] = &[wrapper, &[&*program]].concat()[..] else { unreachable!() };
        let mut child = bench
            .host
            .command(first)
            .args(rest)
            .arg(ASKED)
            .arg(serde_json::to_string(&order)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no pipe")?).read_line(&mut line)?;
        let mut loader = Self(child);
        if line != "ready\n" {
            let mut told = String::new();
            loader.0.stderr.take().context("no pipe")?.read_to_string(&mut told)?;
            anyhow::bail!("the loader said {line:?} and {told}");
        }
        Ok(loader)
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Acts as the loader if this process was started as one.
pub(crate) fn if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != ASKED {
        return None;
    }
    let told = arguments.next()?;
    Some(match act(&told) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    })
}

fn act(told: &str) -> anyhow::Result<()> {
    let order: Order = serde_json::from_str(told)?;
    let mut kernel = Kernel::open(&order.config)?;
    for (decision, (source, ttl_ms)) in (1..).zip(order.bans) {
        kernel.enforcer.install(source, entry(decision, ttl_ms.map(Duration::from_millis)))?;
    }
    std::io::stdout().write_all(b"ready\n")?;
    loop {
        thread::park();
    }
}
