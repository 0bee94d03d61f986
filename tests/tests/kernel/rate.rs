//! The rate of one source, under a flood from two threads.

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use aya::maps::{Array, Map, MapData};
use skyshield::dataplane::Config;
use skyshield_common::{Address, Limit, Reason, Settings, maps, rate};
use tests::packet;

use crate::bench::{Bench, CLIENT_V4, CLIENT_V6, Counted, HOST_V4, HOST_V6, OTHER_V6, drain};

const RATE: u64 = 5_000;
const BURST: u64 = 1_000;
const LASTS: Duration = Duration::from_secs(3);

pub(crate) fn v4() -> anyhow::Result<()> {
    accuracy(HOST_V4, [CLIENT_V4, CLIENT_V4])
}

pub(crate) fn v6() -> anyhow::Result<()> {
    accuracy(HOST_V6, [CLIENT_V6, OTHER_V6])
}

#[expect(clippy::disallowed_methods, reason = "a rate is measured against a clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn accuracy(host: &str, senders: [&str; 2]) -> anyhow::Result<()> {
    let bench = Bench::new()?;
    let inbox = bench.receiver(host)?;
    let to = inbox.local_addr()?;
    // Resolved before anything is counted.
    for from in senders {
        bench.send(from, to, 1)?;
    }
    let config = Config { rate_packets_per_sec: RATE, rate_burst: BURST, ..bench.config() };
    let (counted, took, received) = bench.with_kernel(&config, |kernel| {
        let before = Counted::now(kernel)?;
        let stop = AtomicBool::new(false);
        let started = now();
        let received = thread::scope(|scope| -> anyhow::Result<u64> {
            let floods = senders.map(|from| {
                let (bench, stop) = (&bench, &stop);
                scope.spawn(move || bench.client.run(|| flood(from, to, stop)))
            });
            let mut received = 0;
            let mut buffer = [0; 64];
            while started.elapsed() < LASTS {
                received += u64::from(inbox.recv(&mut buffer).is_ok());
            }
            stop.store(true, Ordering::Relaxed);
            for flood in floods {
                flood.join().map_err(|_| anyhow::anyhow!("a sender died"))??;
            }
            Ok(received)
        })?;
        let took = started.elapsed();
        let counted = Counted::now(kernel)?.since(&before);
        Ok((counted, took, received + drain(&inbox)? as u64))
    })?;
    let of = |reason| counted.get(&reason).map_or(0, |(packets, _)| *packets);
    let (passed, over) = (of(Reason::Passed), of(Reason::RateExceeded));
    let expected = BURST + RATE * u64::try_from(took.as_micros())? / 1_000_000;
    let parts = passed * 10_000 / expected;
    crate::report(&format!(
        "rate to {host}: {passed} passed, {over} over it, {received} received; {parts} of 10000 parts of {expected}"
    ));
    ensure!(passed + over > 3 * passed, "the senders were too slow for this to mean anything");
    ensure!((9_500..=10_500).contains(&parts), "{passed} passed, {expected} expected");
    ensure!(received.abs_diff(passed) * 20 <= passed, "{received} received of {passed} passed");
    Ok(())
}

/// One source on two CPUs without a wire between: what passes is the burst, to the packet.
pub(crate) fn exact() -> anyhow::Result<()> {
    const SPENT: u64 = 200_000;
    const TRIES: u32 = 400_000;
    let bench = Bench::quiet()?;
    // A thousand packets a second come back: a few hundred while the test lasts.
    let config = Config { rate_packets_per_sec: 1_000, rate_burst: SPENT, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        let frame = packet::udp(IpAddr::from([203, 0, 113, 7]));
        let before = Counted::now(kernel)?;
        let started = now();
        let attachment = &kernel.attachment;
        thread::scope(|scope| {
            let runs = [(); 2].map(|()| scope.spawn(|| attachment.judge_often(&frame, TRIES)));
            runs.into_iter().try_for_each(|run| {
                run.join().map_err(|_| anyhow::anyhow!("a run died"))??;
                anyhow::Ok(())
            })
        })?;
        let took = started.elapsed();
        let counted = Counted::now(kernel)?.since(&before);
        let of = |reason| counted.get(&reason).map_or(0, |(packets, _)| *packets);
        let (passed, over) = (of(Reason::Passed), of(Reason::RateExceeded));
        // The clock counts jiffies, of ten milliseconds at the most.
        let earned = u64::try_from(took.as_millis())? + 11;
        crate::report(&format!(
            "{passed} passed of a burst of {SPENT}, {earned} earned at most, {over} over it"
        ));
        ensure!(passed + over == 2 * u64::from(TRIES));
        ensure!((SPENT..=SPENT + earned).contains(&passed), "{passed} passed");
        Ok(())
    })
}

/// A rate of many packets to the tick of the clock, from two CPUs that see it tick one after the other.
pub(crate) fn fast() -> anyhow::Result<()> {
    const FAST: u64 = 100_000;
    let bench = Bench::quiet()?;
    let config = Config { rate_packets_per_sec: FAST, rate_burst: BURST, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        let frame = packet::udp(IpAddr::from([203, 0, 113, 7]));
        let attachment = &kernel.attachment;
        let started = now();
        thread::scope(|scope| {
            let runs = [(); 2].map(|()| {
                scope.spawn(|| -> anyhow::Result<()> {
                    while started.elapsed() < LASTS {
                        attachment.judge_often(&frame, 1_000)?;
                    }
                    Ok(())
                })
            });
            runs.into_iter().try_for_each(|run| run.join().map_err(|_| anyhow::anyhow!("a run died"))?)
        })?;
        let took = started.elapsed();
        let counted = Counted::now(kernel)?;
        let passed = counted.packets(Reason::Passed);
        let expected = BURST + FAST * u64::try_from(took.as_micros())? / 1_000_000;
        let parts = passed * 10_000 / expected;
        crate::report(&format!("{passed} passed at {FAST} a second; {parts} of 10000 parts of {expected}"));
        ensure!(counted.packets(Reason::RateExceeded) > passed, "too slow for this to mean anything");
        ensure!((9_000..=10_500).contains(&parts), "{passed} passed, {expected} expected");
        Ok(())
    })
}

fn flood(from: &str, to: SocketAddr, stop: &AtomicBool) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((from.parse::<IpAddr>()?, 0))?;
    while !stop.load(Ordering::Relaxed) {
        socket.send_to(b"skyshield", to)?;
    }
    Ok(())
}

/// Of more sources than the buckets in front have room for, each is held to its rate: some have their cells
/// behind, and are found there again.
pub(crate) fn many() -> anyhow::Result<()> {
    const SOURCES: u32 = 40_000;
    const BURST: u32 = 20;
    ensure!(SOURCES as usize > rate::FRONT as usize * rate::FRONT_CELLS);
    let bench = Bench::quiet()?;
    let config =
        Config { rate_packets_per_sec: 1, rate_burst: BURST.into(), max_sources: 1 << 16, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        let started = now();
        let mut counted = Vec::new();
        for _ in 0..2 {
            let before = Counted::now(kernel)?;
            for n in 0..SOURCES {
                let source = Ipv4Addr::from_bits(skyshield_ebpf::scattered(n));
                kernel.attachment.judge_often(&packet::udp(source.into()), BURST)?;
            }
            counted.push(Counted::now(kernel)?.since(&before));
        }
        let of = |round: usize, reason| counted[round].get(&reason).map_or(0, |(packets, _)| *packets);
        let (first, second) = (of(0, Reason::Passed), of(1, Reason::Passed));
        let untracked = of(0, Reason::RateUntracked) + of(1, Reason::RateUntracked);
        let all = u64::from(SOURCES * BURST);
        let earned = u64::from(SOURCES) * (started.elapsed().as_secs() + 1);
        crate::report(&format!(
            "{SOURCES} sources: {first} of {all} passed, then {second}, {earned} earned at most, {untracked} untracked"
        ));
        // Two or three sources may find no cell at all.
        ensure!(untracked <= all / 1_000, "{untracked} without a cell");
        // Of sources with one bucket, two in 2^16 have one tag, and so one cell.
        ensure!(first + untracked >= all - all / 1_000, "{first} of a burst of {all} passed");
        ensure!(second <= earned, "{second} passed of what was spent, {earned} earned at most");
        Ok(())
    })
}

/// Two sources that have one home, taking turns as fast as they can: each is held to its rate all the same.
pub(crate) fn turns() -> anyhow::Result<()> {
    const PER_SEC: u64 = 10_000;
    const BURST: u64 = 100;
    const TURNS: u64 = 100_000;
    let bench = Bench::quiet()?;
    let config = Config { rate_packets_per_sec: PER_SEC, rate_burst: BURST, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        let mut homes = BTreeMap::new();
        let seed = seed(&config)?;
        let pair = (0..).map(|n| Ipv4Addr::from_bits(skyshield_ebpf::scattered(n))).find_map(|source| {
            let hash =
                rate::hash(Address::from_v4(source.to_bits()).rate_source(), Limit::Packets as u64, seed);
            homes.insert((rate::front(hash), rate::home(hash)), source).map(|other| [source, other])
        });
        let pair = pair.context("no two of one home")?.map(|source| packet::udp(source.into()));
        let (before, started) = (Counted::now(kernel)?, now());
        for _ in 0..TURNS {
            for frame in &pair {
                kernel.attachment.judge(frame)?;
            }
        }
        let took = started.elapsed();
        let counted = Counted::now(kernel)?.since(&before);
        let passed = counted.get(&Reason::Passed).map_or(0, |(packets, _)| *packets);
        let may = 2 * (BURST + PER_SEC * (took.as_secs() + 1));
        crate::report(&format!("{passed} of {} passed in {took:?}", 2 * TURNS));
        ensure!(may < 2 * TURNS, "too slow for this to mean anything: {may} may pass");
        ensure!(passed <= may, "{passed} passed, of which {may} may");
        Ok(())
    })
}

/// What the kernel has been told to hash by.
pub(crate) fn seed(config: &Config) -> anyhow::Result<u64> {
    const WORDS: usize = size_of::<Settings>() / size_of::<u64>();
    let pin = config.pin_dir.join(format!("v{}", maps::SCHEMA)).join(maps::SETTINGS);
    let settings: Array<_, [u64; WORDS]> = Map::Array(MapData::from_pin(pin)?).try_into()?;
    Ok(settings.get(&0, 0)?[offset_of!(Settings, seed) / size_of::<u64>()])
}
