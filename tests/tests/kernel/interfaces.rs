//! Several interfaces behind one set of bans: each counted for itself, each coming and going alone.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Change, Config, Kernel, Pinned};
use skyshield_common::{Counter, Reason};
use tests::netns::{End, Veth};

use crate::bench::{Bench, CLIENT_V4, Frames, GUARDED, HOST_V4, drain, entry, source};

const SECOND: &str = "second.0";
const SECOND_HOST: &str = "10.98.0.1";
const SECOND_CLIENT: &str = "10.98.0.2";

/// Makes the second interface; again, after it was removed.
fn join_second(bench: &Bench) -> anyhow::Result<()> {
    Veth::join(
        End { netns: &bench.client, interface: "client1", addresses: &["10.98.0.2/24"] },
        End { netns: &bench.host, interface: SECOND, addresses: &["10.98.0.1/24"] },
    )?;
    // Banned on either side by the same address.
    bench.client.ip(&["addr", "add", "10.97.0.7/32", "dev", "lo"])
}

const BANNED: &str = "10.97.0.7";

fn config(bench: &Bench) -> Config {
    Config { interfaces: vec![SECOND.to_owned()], ..bench.config() }
}

type ByInterface = BTreeMap<String, BTreeMap<Reason, Counter>>;

fn counted(kernel: &Kernel) -> anyhow::Result<ByInterface> {
    let all = kernel.enforcer.reader()?.by_interface()?;
    Ok(all.into_iter().map(|(name, counters)| (name, counters.into_iter().collect())).collect())
}

/// Packets under `reason` on `interface` since `before`; of every reason where none is named.
fn since(now: &ByInterface, before: &ByInterface, interface: &str, reason: Option<Reason>) -> u64 {
    let of = |all: &ByInterface| -> u64 {
        let counters = all.get(interface).into_iter().flatten();
        counters.filter(|(one, _)| reason.is_none_or(|wanted| wanted == **one)).map(|(_, c)| c.packets).sum()
    };
    of(now) - of(before)
}

fn send(bench: &Bench, from: &str, to: &UdpSocket, count: usize) -> anyhow::Result<()> {
    ensure!(bench.send(from, to.local_addr()?, count)? == count);
    Ok(())
}

pub(crate) fn counted_apart() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    join_second(&bench)?;
    bench.with_kernel(&config(&bench), |kernel| {
        kernel.enforcer.install(source(BANNED)?, entry(1, None))?;
        let (first, second) = (bench.receiver(HOST_V4)?, bench.receiver(SECOND_HOST)?);
        let frames = [bench.frames("client0", Frames::Sent)?, bench.frames("client1", Frames::Sent)?];
        let before = counted(kernel)?;
        send(&bench, BANNED, &first, 30)?;
        send(&bench, BANNED, &second, 70)?;
        send(&bench, CLIENT_V4, &first, 11)?;
        send(&bench, SECOND_CLIENT, &second, 13)?;
        ensure!((drain(&first)?, drain(&second)?) == (11, 13), "what got through is not what was honest");
        let now = counted(kernel)?;
        for (interface, end, at, banned) in [(GUARDED, "client0", 0, 30), (SECOND, "client1", 1, 70)] {
            let dropped = since(&now, &before, interface, Some(Reason::BannedExact));
            ensure!(dropped == banned, "{dropped} of {banned} on {interface}");
            let (received, frames) =
                (since(&now, &before, interface, None), bench.frames(end, Frames::Sent)? - frames[at]);
            ensure!(received == frames, "{interface} has counted {received} of {frames} frames");
        }
        // Of all together there is the sum.
        let sum: Counter =
            kernel.enforcer.counters()?.iter().find(|(r, _)| *r == Reason::BannedExact).context("none")?.1;
        ensure!(sum.packets == 100, "{sum:?}");
        Ok(())
    })
}

fn found(kernel: &mut Kernel, interface: &str) -> anyhow::Result<Change> {
    let all = kernel.attachment.check();
    let one = all.into_iter().find(|one| one.interface == interface).context("not looked after")?;
    Ok(one.found?)
}

pub(crate) fn come_and_go() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    bench.with_kernel(&config(&bench), |kernel| {
        kernel.enforcer.install(source(BANNED)?, entry(1, None))?;
        // One that is not there at the start is guarded when it comes, and keeps its counters.
        ensure!(found(kernel, SECOND)? == Change::Gone);
        for round in 1..=3_u64 {
            join_second(&bench)?;
            let change = found(kernel, SECOND)?;
            ensure!(matches!(&change, Change::Reattached(to) if to.interface == SECOND), "{change:?}");
            let (first, second) = (bench.receiver(HOST_V4)?, bench.receiver(SECOND_HOST)?);
            send(&bench, BANNED, &second, 10)?;
            send(&bench, BANNED, &first, 10)?;
            ensure!((drain(&first)?, drain(&second)?) == (0, 0), "round {round}: not guarded");
            let dropped = since(&counted(kernel)?, &ByInterface::new(), SECOND, Some(Reason::BannedExact));
            ensure!(dropped == round * 10, "round {round}: {dropped}");
            bench.host.ip(&["link", "del", SECOND])?;
            bench.client.ip(&["addr", "del", "10.97.0.7/32", "dev", "lo"])?;
            ensure!(found(kernel, SECOND)? == Change::Gone);
            ensure!(found(kernel, GUARDED)? == Change::None, "the other one was touched");
        }
        Ok(())
    })
}

pub(crate) fn no_longer_configured() -> anyhow::Result<()> {
    let bench = Bench::new()?;
    join_second(&bench)?;
    let remains = || -> anyhow::Result<_> {
        Ok(Pinned::open(&bench.config().pin_dir)?.context("nothing is pinned")?.remains()?)
    };
    bench.with_kernel(&config(&bench), |kernel| {
        ensure!(kernel.attachment.all()?.iter().all(|(_, attached)| attached.is_some()));
        ensure!(remains()?.attached.len() == 2, "{:?}", remains()?.attached);
        kernel.enforcer.install(source(BANNED)?, entry(1, None)).map_err(Into::into)
    })?;
    bench.with_kernel(&bench.config(), |kernel| {
        let left = remains()?.attached;
        ensure!(left.len() == 1 && left.iter().all(|one| one.interface == GUARDED), "{left:?}");
        ensure!(counted(kernel)?.keys().eq([GUARDED]), "counters of what is guarded no more");
        let (first, second) = (bench.receiver(HOST_V4)?, bench.receiver(SECOND_HOST)?);
        send(&bench, BANNED, &first, 10)?;
        let from: IpAddr = BANNED.parse()?;
        let open = bench.client.run(|| Ok(UdpSocket::bind((from, 0))?.send_to(b"x", second.local_addr()?)?));
        ensure!(open? == 1 && (drain(&first)?, drain(&second)?) == (0, 1));
        Ok(())
    })?;
    // Another owner on one of two: nothing is begun on the other.
    let theirs = Config {
        interface: Some(SECOND.to_owned()),
        pin_dir: bench.bpffs.path().join("other"),
        ..bench.config()
    };
    bench.with_kernel(&theirs, |_| {
        let before = remains()?;
        ensure!(Kernel::open(&config(&bench)).is_err(), "another's interface was taken");
        ensure!(
            remains()?.attached.len() == before.attached.len(),
            "a failed start let go of what was guarded"
        );
        Ok(())
    })
}
