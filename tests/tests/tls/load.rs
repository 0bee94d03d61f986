//! What does not fail while many ask.

use std::process::{Command, Output};
use std::sync::mpsc::{TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::guard::{Guard, well};

const PAGE: &str = "location / { default_type text/plain; return 200 'page'; }";

/// Renewals of the certificate while clients ask.
const CHANGES: usize = 4;

fn h2load(guard: &Guard, words: &[&str]) -> anyhow::Result<Output> {
    let mut h2load = Command::new("h2load");
    h2load.args(words).args(["--connect-to", &guard.tls.to_string()]);
    Ok(h2load.arg(format!("https://shop.example:{}/", guard.tls.port())).output()?)
}

/// How many requests were answered well; an error where one was not.
fn all_answered(output: &Output) -> anyhow::Result<usize> {
    let said = well(output)?;
    let line = said.lines().find(|line| line.starts_with("requests: ")).context("h2load said nothing")?;
    let figures: Vec<usize> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [total, _, _, succeeded, failed, errored, timeout] = figures[..] else { anyhow::bail!("{line}") };
    ensure!(total == succeeded && failed + errored + timeout == 0, "{line}\n{said}");
    Ok(succeeded)
}

pub(crate) fn changes() -> anyhow::Result<()> {
    let guard = Guard::start(PAGE)?;
    let shown = || {
        let said = guard.s_client(&["-servername", "shop.example"])?;
        let (_, rest) = said.split_once("BEGIN CERTIFICATE").context("no certificate was shown")?;
        anyhow::Ok(rest.lines().take(6).collect::<String>())
    };
    let taken_up = "skyshield_tls_certificate_reloads_total{outcome=\"taken_up\"}";
    let answered = thread::scope(|scope| {
        let (done, is_done) = sync_channel::<()>(0);
        let asking = scope.spawn(|| {
            let mut answered = 0;
            let is_done = is_done;
            while is_done.try_recv() != Err(TryRecvError::Disconnected) {
                // New connections all the time, and many requests on each.
                answered += all_answered(&h2load(&guard, &["-n", "2000", "-c", "20", "-m", "10"])?)?;
                answered += all_answered(&h2load(&guard, &["-n", "500", "-c", "10", "--h1"])?)?;
            }
            anyhow::Ok(answered)
        });
        let mut last = shown()?;
        for change in 0..CHANGES {
            guard.renew()?;
            for _ in 0..100 {
                if guard.daemon.metric(taken_up)? > f64::from(u32::try_from(change)?) + 0.5 {
                    break;
                }
                thread::sleep(Duration::from_millis(100));
            }
            let now = shown()?;
            ensure!(now != last, "the certificate is the old one");
            last = now;
        }
        drop(done);
        asking.join().map_err(|_| anyhow::anyhow!("asking panicked"))?
    })?;
    ensure!(answered >= 2500, "{answered} requests");
    Ok(())
}

pub(crate) fn stop() -> anyhow::Result<()> {
    let guard = Guard::start("location = /slow { limit_rate 2k; }")?;
    std::fs::write(guard.nginx.dir().join("slow"), vec![b'x'; 6 * 1024])?;
    let answer = thread::scope(|scope| {
        let asking = scope.spawn(|| guard.curl("shop.example", "/slow", &["--http2", "--fail"]));
        thread::sleep(Duration::from_millis(800));
        let pid = nix::unistd::Pid::from_raw(guard.daemon.daemon.pid().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        asking.join().map_err(|_| anyhow::anyhow!("asking panicked"))?
    })?;
    ensure!(well(&answer)?.len() == 6 * 1024, "cut off in the middle");
    Ok(())
}
