//! Bans on the wire: real datagrams over a veth pair.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use skyshield::dataplane::{Config, OnSilence};
use skyshield_common::Reason;

use crate::bench::{
    Bench, CLIENT_V4, CLIENT_V6, Counted, HOST_V4, HOST_V6, OTHER_V4, OTHER_V6, drain, entry, source,
};
use crate::loader::Loader;

const COUNT: usize = 1_000;

pub(crate) fn ban() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    bench.with_kernel(&bench.config(), |kernel| {
        for (host, banned, honest) in [(HOST_V4, CLIENT_V4, OTHER_V4), (HOST_V6, CLIENT_V6, OTHER_V6)] {
            let inbox = bench.receiver(host)?;
            let to = inbox.local_addr()?;
            // Addresses are resolved before the ban, so that nothing but datagrams is counted.
            for from in [banned, honest] {
                bench.send(from, to, 1)?;
            }
            ensure!(drain(&inbox)? == 2, "no way through before the ban");

            kernel.enforcer.install(source(banned)?, entry(7, None))?;
            let before = Counted::now(kernel)?;
            let sent = bench.send(banned, to, COUNT)?;
            ensure!(bench.send(honest, to, 100)? == 100);
            let received = drain(&inbox)?;
            let counted = Counted::now(kernel)?.since(&before);
            ensure!(received == 100, "{received} received, of 100 honest ones");
            let (dropped, bytes) = counted.get(&Reason::BannedExact).copied().unwrap_or_default();
            ensure!(dropped == sent as u64, "{dropped} counted of {sent} sent");
            ensure!(bytes % dropped == 0, "datagrams of one size, {bytes} bytes");

            ensure!(kernel.enforcer.remove(source(banned)?)?);
            bench.send(banned, to, 10)?;
            ensure!(drain(&inbox)? == 10, "lifted, and still dropped");
        }
        Ok(())
    })
}

pub(crate) fn allow() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    bench.with_kernel(&bench.config(), |kernel| {
        let inbox = bench.receiver(HOST_V4)?;
        kernel.enforcer.install(source("10.99.0.0/24")?, entry(7, None))?;
        kernel.enforcer.set_allowed(&[source(CLIENT_V4)?])?;
        let before = Counted::now(kernel)?;
        bench.send(CLIENT_V4, inbox.local_addr()?, 100)?;
        ensure!(drain(&inbox)? == 100, "the allow list did not beat the ban");
        let counted = Counted::now(kernel)?.since(&before);
        ensure!(counted.get(&Reason::AllowedBan).is_some_and(|(packets, _)| *packets == 100), "{counted:?}");
        bench.send(OTHER_V4, inbox.local_addr()?, 100)?;
        ensure!(drain(&inbox)? == 0, "its neighbour is not on the list");
        Ok(())
    })
}

pub(crate) fn expiry() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    let (v4, v6) = (bench.receiver(HOST_V4)?, bench.receiver(HOST_V6)?);
    let to: [(&str, SocketAddr, _); 2] =
        [(CLIENT_V4, v4.local_addr()?, &v4), (CLIENT_V6, v6.local_addr()?, &v6)];
    for (from, to, inbox) in &to {
        bench.send(from, *to, 1)?;
        ensure!(drain(inbox)? == 1);
    }
    let bans = [(source(CLIENT_V4)?, Some(2_500)), (source("fd99::/64")?, Some(2_500))];
    Loader::start(&bench, &bench.config(), &bans)?.kill()?;
    for (from, to, inbox) in &to {
        bench.send(from, *to, 50)?;
        ensure!(drain(inbox)? == 0, "{from} got through while the ban held");
    }
    thread::sleep(Duration::from_millis(2_600));
    for (from, to, inbox) in &to {
        bench.send(from, *to, 50)?;
        ensure!(drain(inbox)? == 50, "{from} is still held though the ban has ended");
    }
    Ok(())
}

/// Missed, where the configuration says so: the kernel lets go of a host whose daemon is silent.
pub(crate) fn silence() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    let inbox = bench.receiver(HOST_V4)?;
    let to = inbox.local_addr()?;
    let config = Config { on_silence: OnSilence::Disarm, silent_after_secs: 2, ..bench.config() };
    Loader::start(&bench, &config, &[(source(CLIENT_V4)?, None)])?.kill()?;
    bench.send(CLIENT_V4, to, 10)?;
    ensure!(drain(&inbox)? == 0, "not missed yet, and already disarmed");
    thread::sleep(Duration::from_millis(2_100));
    bench.send(CLIENT_V4, to, 10)?;
    ensure!(drain(&inbox)? == 10, "silent for two seconds, and still dropping");
    // Back, and told to go on by itself.
    Loader::start(&bench, &bench.config(), &[])?.kill()?;
    thread::sleep(Duration::from_millis(100));
    bench.send(CLIENT_V4, to, 10)?;
    ensure!(drain(&inbox)? == 0, "the adopted ban is not in force");
    Ok(())
}
