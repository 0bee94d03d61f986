//! Start, kill, restart, refuse, re-attach, detach.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Change, Config, Kernel, Mode, OpenError, Pinned, XdpMode};
use skyshield_common::Reason;

use crate::bench::{Bench, CLIENT_V4, Counted, Frames, GUARDED, HOST_V4, OTHER_V4, drain, entry, source};
use crate::loader::Loader;

pub(crate) fn restart() -> anyhow::Result<()> {
    const KILLS: usize = 50;
    let bench = Bench::new()?;
    // With a roster, which each start looks through.
    let config = Config { max_listed: crate::roster::LISTED, ..bench.config() };
    let receiver = bench.receiver(HOST_V4)?;
    let to = receiver.local_addr()?;
    let bans = [(source(CLIENT_V4)?, None)];
    Loader::start(&bench, &config, &bans)?.kill()?;
    let remains = || -> anyhow::Result<_> {
        bench.host.run(|| Ok(Pinned::open(&config.pin_dir)?.context("nothing is pinned")?.remains()?))
    };
    let before = remains()?;
    let first = before.attached.first().context("not attached")?.clone();

    let never_came = bench.frames("client0", Frames::Dropped)?;
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let leaked = thread::scope(|scope| -> anyhow::Result<usize> {
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
        let killed = (0..KILLS).try_for_each(|_| Loader::start(&bench, &config, &[])?.kill());
        stop.store(true, Ordering::Relaxed);
        flood.join().map_err(|_| anyhow::anyhow!("the flood died"))??;
        killed?;
        drain(&receiver)
    })?;
    let never_came = bench.frames("client0", Frames::Dropped)? - never_came;
    let sent = sent.into_inner() - never_came;
    let after = remains()?;
    let last = after.attached.first().context("no longer attached")?;
    let dropped = |remains: &skyshield::dataplane::Remains| {
        let banned = remains.counters.iter().find(|(reason, _)| *reason == Reason::BannedExact);
        banned.map_or(0, |(_, counter)| counter.packets)
    };
    let counted = dropped(&after) - dropped(&before);
    crate::report(&format!(
        "restart: {KILLS} kills, {sent} banned packets sent, {counted} dropped, {leaked} leaked"
    ));
    ensure!(leaked == 0, "{leaked} of {sent} leaked");
    ensure!(counted == sent, "{counted} counted of {sent} sent");
    ensure!(last.link_id == first.link_id, "another link: {last:?}, {first:?}");
    ensure!(last.program_id != first.program_id, "the program was not replaced");
    ensure!(after.bans.len() == 1, "the ban was not adopted: {:?}", after.bans);
    // An honest neighbour gets through to the last.
    bench.send(OTHER_V4, to, 10)?;
    ensure!(drain(&receiver)? == 10);
    Ok(())
}

/// What has become of the one interface there is.
fn check(kernel: &mut Kernel) -> anyhow::Result<Change> {
    let [checked] = <[_; 1]>::try_from(kernel.attachment.check()).map_err(|_| anyhow::anyhow!("not one"))?;
    Ok(checked.found?)
}

pub(crate) fn comes_back() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    bench.with_kernel(&bench.config(), |kernel| {
        kernel.enforcer.install(source(CLIENT_V4)?, entry(1, None))?;
        ensure!(check(kernel)? == Change::None);
        bench.host.ip(&["link", "set", GUARDED, "down"])?;
        bench.host.ip(&["link", "set", GUARDED, "name", "renamed0"])?;
        ensure!(check(kernel)? == Change::None, "a new name is the same interface");
        bench.host.ip(&["link", "del", "renamed0"])?;
        ensure!(check(kernel)? == Change::Gone);
        ensure!(kernel.attachment.status()?.is_none());
        bench.join()?;
        let change = check(kernel)?;
        ensure!(matches!(&change, Change::Reattached(to) if to.interface == GUARDED), "{change:?}");
        let receiver = bench.receiver(HOST_V4)?;
        bench.send(CLIENT_V4, receiver.local_addr()?, 10)?;
        ensure!(drain(&receiver)? == 0, "back, and not guarded");
        Ok(())
    })
}

pub(crate) fn detach() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    let config = Config { mode: Mode::Generic, ..bench.config() };
    let bans = [(source(CLIENT_V4)?, None), (source("2001:db8::/32")?, Some(60_000))];
    let loader = Loader::start(&bench, &config, &bans)?;
    bench.host.run(|| {
        let pinned = || Pinned::open(&config.pin_dir)?.context("nothing is pinned");
        let error = pinned()?.detach().err().context("detached under a living daemon")?;
        ensure!(matches!(error, OpenError::InUse { .. }), "{error}");
        loader.kill()?;
        let remains = pinned()?.remains()?;
        ensure!(remains.attached.iter().all(|one| one.mode == XdpMode::Generic), "{remains:?}");
        ensure!(remains.attached.len() == 1 && remains.bans.len() == 2, "{remains:?}");
        let detached = pinned()?.detach()?;
        ensure!(detached == remains.attached);
        ensure!(Pinned::open(&config.pin_dir)?.is_none() && !config.pin_dir.exists());
        Ok(())
    })?;
    let receiver = bench.receiver(HOST_V4)?;
    bench.send(CLIENT_V4, receiver.local_addr()?, 10)?;
    ensure!(drain(&receiver)? == 10, "detached, and still dropped");
    Ok(())
}

pub(crate) fn jumbo() -> anyhow::Result<()> {
    const PAYLOAD: usize = 8_000;
    let bench = Bench::new()?;
    bench.host.ip(&["link", "set", GUARDED, "mtu", "9000"])?;
    bench.client.ip(&["link", "set", "client0", "mtu", "9000"])?;
    let config = Config { mode: Mode::Native, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        ensure!(kernel.attachment.status()?.is_some_and(|at| at.mode == XdpMode::Native));
        kernel.enforcer.install(source(CLIENT_V4)?, entry(1, None))?;
        let receiver = bench.receiver(HOST_V4)?;
        let to = receiver.local_addr()?;
        let send =
            |from: &str| bench.client.run(|| Ok(UdpSocket::bind((from, 0))?.send_to(&[0; PAYLOAD], to)?));
        let before = Counted::now(kernel)?;
        send(CLIENT_V4)?;
        send(OTHER_V4)?;
        ensure!(drain(&receiver)? == 1, "one of two");
        let counted = Counted::now(kernel)?.since(&before);
        let dropped = counted.get(&Reason::BannedExact).copied();
        // Ethernet, IPv4 and UDP headers on top: all buffers of the frame are in the length.
        ensure!(dropped == Some((1, PAYLOAD as u64 + 42)), "{counted:?}");
        Ok(())
    })
}

/// How much the verifier had to walk. Far under its million, so that older kernels load it as well.
pub(crate) fn verified() -> anyhow::Result<()> {
    const MOST: u32 = 200_000;
    let bench = Bench::quiet()?;
    bench.with_kernel(&bench.config(), |kernel| {
        let program_id = kernel.attachment.status()?.context("not attached")?.program_id;
        let program = aya::programs::loaded_programs().flatten().find(|one| one.id() == program_id);
        let program = program.context("not loaded")?;
        let instructions = program.verified_instruction_count().context("the kernel does not say")?;
        let size = program.size_translated().unwrap_or_default() / 8;
        crate::report(&format!("{instructions} instructions verified, {size} in the program"));
        ensure!(instructions <= MOST, "{instructions} instructions to verify");
        Ok(())
    })
}
