//! What happens at the limits: a full ring, full maps; and what events tell below them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Config, Enforcer as _, Error, Memory};
use skyshield_common::{Address, Reason, Verdict};
use tests::packet;

use crate::bench::{Bench, Counted, entry, source};
use crate::table::address;

fn ip(address: Address) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(address.octets())).to_canonical()
}

pub(crate) fn full_ring() -> anyhow::Result<()> {
    const DROPS: u32 = 60_000;
    let bench = Bench::quiet()?;
    let config = Config { events_per_ms: 1_000_000, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        kernel.enforcer.install(source("203.0.113.7")?, entry(1, None))?;
        let before = Counted::now(kernel)?;
        let frame = packet::udp(address("203.0.113.7"));
        ensure!(kernel.attachment.judge_often(&frame, DROPS)? == Verdict::Drop);
        let dropped =
            Counted::now(kernel)?.packets(Reason::BannedExact) - before.packets(Reason::BannedExact);
        let events = kernel.enforcer.event_counters()?;
        ensure!(dropped == u64::from(DROPS));
        ensure!(events.lost > 0, "the ring did not fill: {events:?}");
        ensure!(events.sent + events.lost + events.skipped == dropped, "{events:?} for {dropped} drops");
        let mut read = 0;
        loop {
            match kernel.events.poll().len() {
                0 => break,
                some => read += some as u64,
            }
        }
        ensure!(read == events.sent, "{read} read of {events:?}");
        Ok(())
    })
}

/// Where every cell is of a source that owes, a newcomer is let through and counted as not tracked; who has a cell is held
/// to the rate all the same.
pub(crate) fn untracked() -> anyhow::Result<()> {
    const SOURCES: u32 = 40_000;
    const NEWCOMERS: u32 = 1_000;
    const BURST: u32 = 1_000;
    let bench = Bench::quiet()?;
    let config =
        Config { max_sources: 1, rate_packets_per_sec: 1, rate_burst: BURST.into(), ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        let of = |n: u32| packet::udp(Ipv4Addr::from_bits(0x0b00_0000 | n).into());
        for n in 0..SOURCES {
            // Of each more than comes back while this runs.
            kernel.attachment.judge_often(&of(n), BURST / 10)?;
        }
        let before = Counted::now(kernel)?;
        for n in SOURCES..SOURCES + NEWCOMERS {
            ensure!(kernel.attachment.judge(&of(n))? == Verdict::Pass, "newcomer {n} was held up");
        }
        let counted = Counted::now(kernel)?.since(&before);
        ensure!(counted.contains_key(&Reason::RateUntracked), "there were cells for all: {counted:?}");
        ensure!(
            kernel.attachment.judge_often(&of(0), 2 * BURST)? == Verdict::Drop,
            "a source with a cell was let go"
        );
        Ok(())
    })
}

/// Frames that name no source are told of as others are: none is lost with room in the ring, and among them a window
/// still has its end.
#[expect(clippy::disallowed_methods, reason = "windows are counted by a clock")]
pub(crate) fn unreadable() -> anyhow::Result<()> {
    const FRAMES: u64 = 5_000;
    let bench = Bench::quiet()?;
    let config = Config { events_per_ms: 1, drop_malformed: true, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        kernel.enforcer.install(source("203.0.113.7")?, entry(1, None))?;
        let banned = packet::udp(address("203.0.113.7"));
        let mut cut = banned.clone();
        cut.truncate(20);
        let started = Instant::now();
        for _ in 0..FRAMES {
            ensure!(kernel.attachment.judge(&cut)? == Verdict::Drop);
            ensure!(kernel.attachment.judge(&banned)? == Verdict::Drop);
        }
        let windows = started.elapsed().as_millis() + 2;
        let events = kernel.enforcer.event_counters()?;
        ensure!(events.lost == 0 && events.sent + events.skipped == 2 * FRAMES, "{events:?}");
        let processors = thread::available_parallelism()?.get() as u128;
        ensure!(u128::from(events.sent) <= windows * processors, "{events:?} in {windows} ms");
        let told = kernel.events.poll();
        let unnamed =
            told.iter().find(|event| event.address().is_none()).context("of none without a source")?;
        ensure!(unnamed.length as usize == cut.len() && unnamed.at_ns > 0, "{unnamed:?}");
        Ok(())
    })
}

pub(crate) fn full_maps() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let config = Config { max_bans: 8, max_prefixes: 4, max_allowed: 2, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        for low in 0..8 {
            kernel.enforcer.install(source(&format!("203.0.113.{low}"))?, entry(1, None))?;
        }
        for low in 0..4 {
            kernel.enforcer.install(source(&format!("10.{low}.0.0/16"))?, entry(2, None))?;
        }
        let full = kernel.enforcer.install(source("203.0.113.8")?, entry(3, None));
        ensure!(matches!(full, Err(Error::Full { capacity: 8, .. })), "{full:?}");
        let full = kernel.enforcer.install(source("10.4.0.0/16")?, entry(3, None));
        ensure!(matches!(full, Err(Error::Full { capacity: 4, .. })), "{full:?}");
        // What is there may still be changed.
        kernel.enforcer.install(source("203.0.113.7")?, entry(4, None))?;
        kernel.enforcer.install(source("10.3.0.0/16")?, entry(4, None))?;
        ensure!(kernel.enforcer.entries()?.len() == 12);
        // A whole new allow list fits beside the old one for the moment of the change.
        kernel.enforcer.set_allowed(&[source("192.0.2.1")?, source("192.0.2.2")?])?;
        kernel.enforcer.set_allowed(&[source("192.0.2.3")?, source("192.0.2.4")?])?;

        // The model has the same semantics.
        let mut memory = Memory::new(&config);
        for (source, entry) in kernel.enforcer.entries()? {
            memory.install(source, entry)?;
        }
        let mut kept = kernel.enforcer.entries()?;
        kept.sort_by_key(|(source, _)| *source);
        let mut modelled = memory.entries()?;
        modelled.sort_by_key(|(source, _)| *source);
        ensure!(kept == modelled && kernel.enforcer.fill()[..4] == memory.fill()[..4]);
        Ok(())
    })
}

/// A flood of sources that nobody can tell from real ones: the rates forget, the bans do not.
pub(crate) fn spoofed() -> anyhow::Result<()> {
    const BANS: u32 = 1_000;
    const SOURCES: u32 = 3_000_000;
    let bench = Bench::quiet()?;
    let config = Config { rate_packets_per_sec: 100, rate_burst: 10, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        let banned = |low| Ipv4Addr::from_bits(0xcb00_0000 | low);
        for low in 0..BANS {
            kernel.enforcer.install(source(&banned(low).to_string())?, entry(1, None))?;
        }
        let before = Counted::now(kernel)?;
        for low in 0..SOURCES {
            kernel.attachment.judge(&packet::udp(Ipv4Addr::from_bits(0x0a00_0000 | low).into()))?;
        }
        let counted = Counted::now(kernel)?.since(&before);
        let honest = [Reason::Passed, Reason::RateUntracked].map(|reason| counted.get(&reason));
        let passed: u64 = honest.iter().flatten().map(|(packets, _)| packets).sum();
        ensure!(passed == u64::from(SOURCES), "first packets are no flood of any one source: {counted:?}");
        ensure!(kernel.enforcer.entries()?.len() == BANS as usize, "the flood made or took bans");
        for low in 0..BANS {
            let verdict = kernel.attachment.judge(&packet::udp(banned(low).into()))?;
            ensure!(verdict == Verdict::Drop, "{} got away", banned(low));
        }
        Ok(())
    })
}

pub(crate) fn events() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    bench.with_kernel(&bench.config(), |kernel| {
        kernel.enforcer.install(source("2001:db8::7")?, entry(77, None))?;
        let frame = packet::syn(address("2001:db8::7"));
        kernel.attachment.judge(&frame)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let told = runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(2), kernel.events.next()).await })??;
        let event = told.first().context("no event")?;
        ensure!(event.decision == 77 && event.reason == Reason::BannedExact.index(), "{event:?}");
        ensure!(event.address().map(ip) == Some(address("2001:db8::7")));
        ensure!((event.source_port, event.destination_port, event.protocol) == (12345, 443, packet::TCP));
        ensure!(event.length as usize == frame.len() && event.at_ns > 0);
        Ok(())
    })
}
