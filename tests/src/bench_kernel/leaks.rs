//! What gets through while things are replaced under it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Config, Kernel};

use super::field::{Field, Sources};
use super::scattered;
use super::target::{Target, now, program_id};
use crate::netns::Netns;

const FRAMES: u32 = 60_000;
const SWAPS: u32 = 20;
const REPLACEMENTS: u32 = 200;
const KILLS: u32 = 200;
const HOLD: &str = "--hold";

/// What was sent at a filter that was being changed, how much of it got through, and how fast it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leak {
    pub(super) sent: u64,
    /// What did not come to the interface: a wire that is full loses frames before any filter.
    pub(super) lost: u64,
    pub(super) leaked: u64,
    pub(super) per_sec: f64,
}

/// A list of a million replaced, each time by half. What is sent is of the half that every one has.
pub(super) fn lists(target: &mut Target, count: u32) -> anyhow::Result<Leak> {
    let config = Config { rate_packets_per_sec: 0, ..target.config.clone() };
    target.kernel()?.enforcer.set_settings(config.settings())?;
    under_fire(target, Sources::v4(0, count / 2), |kernel| {
        let kernel = kernel.as_mut().context("no kernel side")?;
        for swap in 0..SWAPS {
            let other = count / 2 + (swap + 1) % 2 * count / 2;
            let list: Vec<_> = (0..count / 2).chain(other..other + count / 2).map(scattered).collect();
            kernel.enforcer.replace_list(&list)?;
        }
        Ok(())
    })
}

/// The program replaced by its like, as an upgrade does it: `bpf_link_update` on the pinned link.
pub(super) fn programs(target: &mut Target, count: u32) -> anyhow::Result<Leak> {
    let (config, far) = (target.config.clone(), target.field.far.name().to_owned());
    under_fire(target, Sources::v4(0, count), |kernel| {
        for _ in 0..REPLACEMENTS {
            let before = program_id(kernel.as_ref(), &far)?;
            // The next may have its folder only when this one has let go of it.
            *kernel = None;
            *kernel = Some(Netns::enter(&far, || Ok(Kernel::open(&config)?))?);
            ensure!(program_id(kernel.as_ref(), &far)? != before, "the program was not replaced");
        }
        Ok(())
    })
}

/// The daemon killed as soon as it guards, and the next one started.
pub(super) fn kills(target: &mut Target, count: u32) -> anyhow::Result<Leak> {
    let (config, far) = (target.config.clone(), target.field.far.name().to_owned());
    under_fire(target, Sources::v4(0, count), |kernel| {
        *kernel = None;
        for _ in 0..KILLS {
            let mut child = Held(
                std::process::Command::new("nsenter")
                    .arg(format!("--net=/run/netns/{far}"))
                    .arg(std::env::current_exe()?)
                    .args([HOLD, &serde_json::to_string(&config)?])
                    .stdout(Stdio::piped())
                    .spawn()?,
            );
            let mut line = String::new();
            BufReader::new(child.0.stdout.take().context("no pipe")?).read_line(&mut line)?;
            ensure!(line == "ready\n", "the daemon said {line:?}");
        }
        *kernel = Some(Netns::enter(&far, || Ok(Kernel::open(&config)?))?);
        Ok(())
    })
}

/// A daemon, killed when it is dropped.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Acts as the daemon that is killed, if this process was started as one.
pub fn hold_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != HOLD {
        return None;
    }
    let held = || -> anyhow::Result<()> {
        let config: Config = serde_json::from_str(&arguments.next().context("no configuration")?)?;
        let _kernel = Kernel::open(&config)?;
        std::io::stdout().write_all(b"ready\n")?;
        loop {
            thread::park();
        }
    };
    let mut held = held;
    Some(if held().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends frames of banned sources for as long as `change` takes. What came and was not counted as dropped got
/// through.
fn under_fire(
    target: &mut Target,
    sources: Sources,
    change: impl FnOnce(&mut Option<Kernel>) -> anyhow::Result<()>,
) -> anyhow::Result<Leak> {
    let [before, ..] = target.counted()?;
    let arrived = target.field.taken()?;
    let Target { field, kernel, .. } = target;
    let stop = AtomicBool::new(false);
    let started = now();
    let sent = thread::scope(|scope| -> anyhow::Result<u64> {
        let flood = scope.spawn(|| send_until(field, sources, &stop));
        let changed = change(kernel);
        stop.store(true, Ordering::Relaxed);
        let sent = flood.join().map_err(|_| anyhow::anyhow!("the flood died"))??;
        changed?;
        Ok(sent)
    })?;
    let took = started.elapsed().as_secs_f64();
    let [came, ..] = target.field.taken_since(arrived, sent)?;
    let dropped = target.counted()?[0] - before;
    ensure!(dropped <= came && came <= sent, "{dropped} dropped of {sent}, of which {came} came");
    #[expect(clippy::cast_precision_loss, reason = "less than 2^52 frames")]
    let per_sec = sent as f64 / took;
    Ok(Leak { sent, lost: sent - came, leaked: came - dropped, per_sec })
}

fn send_until(field: &mut Field, sources: Sources, stop: &AtomicBool) -> anyhow::Result<u64> {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        field.send(sources, FRAMES, true)?;
        sent += u64::from(FRAMES);
    }
    Ok(sent)
}
