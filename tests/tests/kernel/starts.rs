//! Starts over what another daemon has left: one that fails changes nothing of it, one that succeeds ends a bypass.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Config, Kernel, Mode, OpenError, Pinned};

use crate::bench::{Bench, CLIENT_V4, HOST_V4, drain, source};
use crate::loader::Loader;

const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn over_a_bypass() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    bench.host.ip(&["link", "add", "bridge0", "type", "bridge"])?;
    bench.host.ip(&["link", "set", "bridge0", "up"])?;
    let good = Config { mode: Mode::Native, ..bench.config() };
    // A bridge has no driver.
    let failing = Config {
        interfaces: vec!["bridge0".to_owned()],
        rate_packets_per_sec: 1,
        dry_run: true,
        ..good.clone()
    };
    Loader::start(&bench, &good, &[(source(CLIENT_V4)?, None)])?.kill()?;
    let receiver = bench.receiver(HOST_V4)?;
    let to = receiver.local_addr()?;
    let came = || -> anyhow::Result<usize> {
        bench.send(CLIENT_V4, to, 10)?;
        drain(&receiver)
    };
    let pinned = || Pinned::open(&good.pin_dir)?.context("nothing is pinned");
    let fails = || -> anyhow::Result<()> {
        let refused = bench.host.run(|| Kernel::open(&failing).err().context("not refused"))?;
        ensure!(matches!(refused, OpenError::Attach { .. }), "{refused}");
        Ok(())
    };
    pinned()?.bypass(Some(HOUR))?;
    ensure!(came()? == 10, "a bypass lets a banned source through");
    fails()?;
    ensure!(pinned()?.bypass_left()? > HOUR * 9 / 10, "a failed start has ended it");
    ensure!(came()? == 10, "a failed start has put its rate in force, or ended the bypass");
    pinned()?.bypass(None)?;
    fails()?;
    ensure!(came()? == 0, "a failed start has put its dry run in force");
    pinned()?.bypass(Some(HOUR))?;
    bench.with_kernel(&good, |kernel| {
        ensure!(kernel.enforcer.bypass_left().is_zero() && pinned()?.bypass_left()?.is_zero());
        ensure!(came()? == 0, "a start does not end it");
        Ok(())
    })
}
