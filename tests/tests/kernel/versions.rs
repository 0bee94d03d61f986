//! Another version's maps, older or newer: its bans hold while its program is replaced, and after.

use std::fs;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Config, Kernel, Mode, OpenError, Pinned};
use skyshield_common::maps::SCHEMA;

use crate::bench::{Bench, CLIENT_V4, HOST_V4, OTHER_V4, drain, source};
use crate::loader::Loader;

const BANS: [&str; 5] = [CLIENT_V4, "203.0.113.0/24", "203.0.113.0/28", "2001:db8::7", "2001:db8:1::/48"];

pub(crate) fn upgraded() -> anyhow::Result<()> {
    taken_over(SCHEMA - 1)
}

pub(crate) fn downgraded() -> anyhow::Result<()> {
    taken_over(SCHEMA + 1)
}

/// What a daemon of layout `other` has left is taken over by one of ours, under a flood.
fn taken_over(other: u32) -> anyhow::Result<()> {
    const ROUNDS: usize = 10;
    let bench = Bench::new()?;
    let config = bench.config();
    let folder = |layout: u32| config.pin_dir.join(format!("v{layout}"));
    let mut bans =
        BANS.map(|text| Ok((source(text)?, None))).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    bans.push((source("198.51.100.7")?, Some(60_000)));
    bans.push((source("198.51.100.8")?, Some(1)));
    Loader::start(&bench, &config, &bans)?.kill()?;
    let receiver = bench.receiver(HOST_V4)?;
    let to = receiver.local_addr()?;
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| -> anyhow::Result<()> {
        let flood = scope.spawn(|| {
            bench.client.run(|| {
                let socket = UdpSocket::bind((CLIENT_V4, 0))?;
                while !stop.load(Ordering::Relaxed) {
                    socket.send_to(b"banned", to)?;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        });
        let swapped = (0..ROUNDS).try_for_each(|round| {
            fs::rename(folder(SCHEMA), folder(other))?;
            Loader::start(&bench, &config, &[])?.kill()?;
            ensure!(!folder(other).exists(), "round {round}: the other layout is still there");
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        flood.join().map_err(|_| anyhow::anyhow!("the flood died"))??;
        swapped
    })?;
    let (sent, leaked) = (sent.into_inner(), drain(&receiver)?);
    crate::report(&format!("v{other} to v{SCHEMA}: {ROUNDS} times, {sent} banned packets, {leaked} leaked"));
    ensure!(leaked == 0 && sent > 1_000, "{leaked} of {sent}");
    let remains =
        bench.host.run(|| Ok(Pinned::open(&config.pin_dir)?.context("nothing is pinned")?.remains()?))?;
    ensure!(remains.attached.len() == 1, "{:?}", remains.attached);
    let mut left: Vec<_> = remains.bans.iter().map(|(source, _)| source.to_string()).collect();
    let mut wanted: Vec<_> = BANS.into_iter().chain(["198.51.100.7"]).map(str::to_owned).collect();
    left.sort();
    wanted.sort();
    ensure!(left == wanted, "{left:?} is not {wanted:?}");
    let ending = remains.bans.iter().find(|(source, _)| source.to_string() == "198.51.100.7");
    let ttl = ending.and_then(|(_, entry)| entry.ttl).context("it would hold for ever")?;
    ensure!(ttl < Duration::from_mins(1) && ttl > Duration::from_secs(1), "{ttl:?}");
    ensure!(remains.bans.iter().all(|(_, entry)| entry.decision.0 != 0));
    bench.send(OTHER_V4, to, 10)?;
    ensure!(drain(&receiver)? == 10, "an honest neighbour");
    Ok(())
}

/// Fewer fit than there were: an operator's go first, the daemon starts, and says so.
pub(crate) fn without_room() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    let all = (0..20).map(|n| Ok((source(&format!("203.0.113.{n}"))?, None)));
    Loader::start(&bench, &bench.config(), &all.collect::<anyhow::Result<Vec<_>>>()?)?.kill()?;
    let config = Config { max_bans: 8, ..bench.config() };
    bench.host.run(|| {
        // The same layout with less room is refused.
        ensure!(matches!(Kernel::open(&config).err(), Some(OpenError::Capacity { .. })));
        fs::rename(
            config.pin_dir.join(format!("v{SCHEMA}")),
            config.pin_dir.join(format!("v{}", SCHEMA + 1)),
        )?;
        let kernel = Kernel::open(&config)?;
        ensure!(kernel.enforcer.entries()?.len() == 8);
        Ok(())
    })?;
    // A start that fails leaves the other version's bans where they were, and nothing half done.
    bench.host.run(|| {
        fs::rename(
            config.pin_dir.join(format!("v{SCHEMA}")),
            config.pin_dir.join(format!("v{}", SCHEMA + 1)),
        )?;
        let nowhere = Config {
            interface: None,
            interfaces: vec!["lo".to_owned()],
            mode: skyshield::dataplane::Mode::Native,
            ..config.clone()
        };
        ensure!(Kernel::open(&nowhere).is_err(), "the loopback interface has no driver");
        ensure!(config.pin_dir.join(format!("v{}", SCHEMA + 1)).exists());
        ensure!(!config.pin_dir.join(format!("v{SCHEMA}")).exists(), "half a start is left behind");
        Ok(())
    })
}

/// An upgrade that fails on its second interface: where another owner is seen before anything is done, nothing is; where
/// the first has its new program already, the maps of that stay, by which its bans are lifted.
pub(crate) fn half_way() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    bench.host.ip(&["link", "add", "bridge0", "type", "bridge"])?;
    bench.host.ip(&["link", "set", "bridge0", "up"])?;
    let folder = |layout: u32| bench.config().pin_dir.join(format!("v{layout}"));
    let native = Config { mode: Mode::Native, ..bench.config() };
    let both = Config { interfaces: vec!["bridge0".to_owned()], ..native.clone() };
    Loader::start(&bench, &native, &[(source(CLIENT_V4)?, None)])?.kill()?;
    let attached = || -> anyhow::Result<_> {
        Ok(Pinned::open(&native.pin_dir)?.context("nothing is pinned")?.remains()?.attached)
    };
    bench.host.run(|| {
        let before = attached()?;
        let theirs = Config {
            interface: Some("bridge0".to_owned()),
            mode: Mode::Generic,
            pin_dir: bench.bpffs.path().join("theirs"),
            ..bench.config()
        };
        let owner = Kernel::open(&theirs)?;
        let refused = Kernel::open(&both).err().context("not refused")?;
        ensure!(matches!(refused, OpenError::OtherOwner { .. }), "{refused}");
        ensure!(attached()? == before, "something was done all the same");
        drop(owner);
        Pinned::open(&theirs.pin_dir)?.context("nothing is pinned")?.detach()?;

        fs::rename(folder(SCHEMA), folder(SCHEMA - 1))?;
        let refused = Kernel::open(&both).err().context("not refused")?;
        ensure!(matches!(refused, OpenError::Attach { .. }), "a bridge has no driver: {refused}");
        ensure!(folder(SCHEMA).exists(), "the maps of the program in force are gone");
        let mut kernel = Kernel::open(&native)?;
        ensure!(kernel.enforcer.remove(source(CLIENT_V4)?)?, "the ban was lost");
        Ok(())
    })?;
    let receiver = bench.receiver(HOST_V4)?;
    bench.send(CLIENT_V4, receiver.local_addr()?, 10)?;
    ensure!(drain(&receiver)? == 10, "a ban that was lifted is still in force");
    Ok(())
}
