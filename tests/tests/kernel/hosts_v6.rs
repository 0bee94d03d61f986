//! The table of IPv6 hosts: whatever comes and goes, a packet is judged by the bans there are.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Config, Kernel};
use skyshield::engine::source::Source;
use skyshield_common::{Address, Reason, Verdict, host_v6, maps};
use tests::packet;

use crate::bench::{Bench, Counted, entry};
use crate::prefixes::Numbers;
use crate::rate;

/// With a table so small that many share their buckets.
fn config(bench: &Bench) -> Config {
    Config { max_bans: 128, ..bench.config() }
}

/// Gives the two buckets of an address, as the program that runs is told to hash.
fn hashed(config: &Config) -> anyhow::Result<impl Fn(Ipv6Addr) -> (u32, u32)> {
    let (mask, seed) = (host_v6::bucket_count(config.max_bans) - 1, rate::seed(config)?);
    Ok(move |address: Ipv6Addr| host_v6::buckets(Address::from_octets(address.octets()), seed, mask))
}

/// The `n`th of addresses that lie all over the space.
fn scattered(n: u32) -> Ipv6Addr {
    let bits = u128::from(skyshield_ebpf::scattered(n));
    Ipv6Addr::from(0x2a00 << 112 | bits << 64 | bits.rotate_left(16) & 0xffff_ffff_ffff)
}

/// More than two buckets have room for, and others from everywhere.
fn pool(config: &Config) -> anyhow::Result<Vec<Ipv6Addr>> {
    let buckets = hashed(config)?;
    let crowd = (60..).map(scattered).filter(|address| buckets(*address) == buckets(scattered(0)));
    Ok((1..60).map(scattered).chain(crowd.take(10)).collect())
}

type Bans = BTreeMap<Ipv6Addr, bool>;

fn agrees(kernel: &Kernel, pool: &[Ipv6Addr], bans: &Bans, when: &str) -> anyhow::Result<()> {
    for address in pool {
        let is_banned = bans.get(address).copied().unwrap_or_default();
        let wanted = if is_banned { Verdict::Drop } else { Verdict::Pass };
        let frame = packet::udp((*address).into());
        // By the long way, and by the short one.
        for frame in [&packet::tagged(&frame, 0x8100, 1), &frame, &frame] {
            let found = kernel.attachment.judge(frame)?;
            ensure!(found == wanted, "{address} {when}: {found:?}, banned {is_banned}");
        }
    }
    Ok(())
}

/// Bans of all lengths in any order, some ended by the kernel itself, and restarts between them; and one after which
/// the table is hashed otherwise, and holds what was there before.
pub(crate) fn agree() -> anyhow::Result<()> {
    /// With the tick at which it ends, over after [`OVER`].
    const SHORT: Duration = Duration::from_millis(50);
    const OVER: Duration = Duration::from_millis(150);
    let bench = Bench::quiet()?;
    let config = config(&bench);
    let pin = |name| config.pin_dir.join(format!("v{}", maps::SCHEMA)).join(name);
    let mut numbers = Numbers(13);
    let mut bans = Bans::new();
    let mut pools = Vec::new();
    for start in 0..4 {
        bench.with_kernel(&config, |kernel| {
            pools.extend(pool(&config)?);
            agrees(kernel, &pools, &bans, &format!("after start {start}"))?;
            for step in 0..8 {
                let mut ending = Vec::new();
                for address in &pools {
                    let source = Source::host((*address).into());
                    let ttl = match numbers.next() >> 32 & 7 {
                        0 => None,
                        1 => Some(SHORT),
                        2..=4 => {
                            kernel.enforcer.remove(source)?;
                            bans.insert(*address, false);
                            continue;
                        }
                        _ => continue,
                    };
                    kernel.enforcer.install(source, entry(1, ttl))?;
                    bans.insert(*address, ttl.is_none());
                    if ttl.is_some() {
                        ending.push(*address);
                    }
                }
                thread::sleep(OVER);
                agrees(kernel, &pools, &bans, &format!("in step {step} after start {start}"))?;
                if step % 2 == 0 {
                    kernel.enforcer.sweep(1_000)?;
                    agrees(kernel, &pools, &bans, &format!("swept in step {step} after start {start}"))?;
                }
            }
            Ok(())
        })?;
        if start == 1 {
            // With it goes what the table is hashed by.
            fs::remove_file(pin(maps::SETTINGS))?;
        }
    }
    Ok(())
}

/// A slot is given now to one address, now to another, under a flood of a third that has a half of each: it is never
/// taken for banned, and one that stays banned in the same bucket never for clear.
pub(crate) fn raced() -> anyhow::Result<()> {
    /// Fewer than have the tables of what is near made anew.
    const TURNS: u32 = 4_000;
    const AT_ONCE: u32 = 200;
    let bench = Bench::quiet()?;
    let config = config(&bench);
    bench.with_kernel(&config, |kernel| {
        let buckets = hashed(&config)?;
        let is_first = |address| buckets(address).0 == buckets(scattered(0)).0;
        let same: Vec<_> = (0..20_000).map(scattered).filter(|address| is_first(*address)).collect();
        let half = |one: Ipv6Addr, other: Ipv6Addr| {
            Ipv6Addr::from(one.to_bits() >> 64 << 64 | other.to_bits() & u128::from(u64::MAX))
        };
        let (stays, others) = same.split_first().context("none")?;
        let mut pairs = others.iter().flat_map(|one| others.iter().map(move |other| (*one, *other)));
        let pair = pairs.find(|(one, other)| one != other && is_first(half(*one, *other)));
        let (one, other) = pair.context("no such pair")?;
        let mixed = half(one, other);
        let [stays, one, other, third] =
            [*stays, one, other, mixed].map(|address| Source::host(address.into()));
        // From then on it is near.
        kernel.enforcer.install(third, entry(1, None))?;
        kernel.enforcer.remove(third)?;
        kernel.enforcer.install(stays, entry(1, None))?;
        let before = Counted::now(kernel)?;
        let Kernel { enforcer, attachment, .. } = kernel;
        let stop = AtomicBool::new(false);
        let frames = [stays, third].map(|source| packet::udp(source.address()));
        let runs = thread::scope(|scope| -> anyhow::Result<u64> {
            let flood = scope.spawn(|| -> anyhow::Result<u64> {
                let mut runs = 0;
                while !stop.load(Ordering::Relaxed) {
                    for frame in &frames {
                        attachment.judge_often(frame, AT_ONCE)?;
                    }
                    runs += 1;
                }
                Ok(runs)
            });
            let turned = (0..TURNS).try_for_each(|_| -> anyhow::Result<()> {
                for source in [one, other] {
                    enforcer.install(source, entry(1, None))?;
                    enforcer.remove(source)?;
                }
                Ok(())
            });
            stop.store(true, Ordering::Relaxed);
            let runs = flood.join().map_err(|_| anyhow::anyhow!("the flood died"))??;
            turned.map(|()| runs)
        })?;
        let counted = Counted::now(kernel)?.since(&before);
        let packets = |reason| counted.get(&reason).map_or(0, |(packets, _)| *packets);
        let sent = runs * u64::from(AT_ONCE);
        crate::report(&format!(
            "{TURNS} times two addresses in one slot, {sent} packets of each of two others"
        ));
        ensure!(
            packets(Reason::Passed) == sent && packets(Reason::BannedExact) == sent,
            "{counted:?} of {sent} each"
        );
        Ok(())
    })
}
