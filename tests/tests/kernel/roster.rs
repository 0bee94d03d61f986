//! The roster of a table that has one: whatever comes and goes, it says what the table says.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use skyshield::dataplane::{Config, Kernel};
use skyshield::engine::source::Source;
use skyshield_common::{Verdict, host, maps, roster};
use tests::packet;

use crate::bench::{Bench, entry};
use crate::clearance;
use crate::prefixes::Numbers;

/// Addresses on a list, at most: enough for a roster.
pub(crate) const LISTED: u32 = 400_000;
/// Longer than a test; and, with the tick at which it ends, over after [`OVER`].
const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(50);
const OVER: Duration = Duration::from_millis(150);

/// With a roster; and the bits of a tag on it.
fn config(bench: &Bench) -> anyhow::Result<(Config, u32)> {
    let config = Config {
        max_listed: LISTED,
        rate_packets_per_sec: clearance::RATE,
        rate_burst: clearance::BURST,
        ..bench.config()
    };
    let lines = roster::line_count(host::bucket_count(config.max_bans + config.max_listed));
    ensure!(lines > 0, "no roster");
    Ok((config, roster::tag_bits(lines)))
}

/// More than one line has room for, what has no seat on any, and others from everywhere.
fn pool(tag_bits: u32) -> Vec<Ipv4Addr> {
    const LINE: u32 = 0x1234;
    let crowd = (1..=60).map(|tag| roster::address(LINE, tag, tag_bits));
    let without = (0..20).map(|line| roster::address(LINE + line, 0, tag_bits));
    let others = (0..120_u32).map(|n| 0x0b00_0000 + n * 0x0101_0101);
    crowd.chain(without).chain(others).map(Ipv4Addr::from_bits).collect()
}

/// What is meant of each address: whether it is listed, and whether it is banned.
type Meant = BTreeMap<Ipv4Addr, (bool, bool)>;

fn agrees(kernel: &Kernel, pool: &[Ipv4Addr], meant: &Meant, when: &str) -> anyhow::Result<()> {
    for address in pool {
        let (listed, banned) = meant.get(address).copied().unwrap_or_default();
        let wanted = if listed || banned { Verdict::Drop } else { Verdict::Pass };
        let frame = packet::udp(IpAddr::V4(*address));
        // By the long way, and by the short one until it goes by a clearance, if there is one to be had.
        for frame in [&packet::tagged(&frame, 0x8100, 1), &frame, &frame, &frame] {
            let found = kernel.attachment.judge(frame)?;
            ensure!(found == wanted, "{address} {when}: {found:?}, listed {listed}, banned {banned}");
        }
    }
    Ok(())
}

/// Bans of all lengths and lists in any order, some ended by the kernel itself, and restarts between them.
pub(crate) fn agree() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let (config, tag_bits) = config(&bench)?;
    let pool = pool(tag_bits);
    let mut numbers = Numbers(11);
    let mut meant = Meant::new();
    for start in 0..4 {
        bench.with_kernel(&config, |kernel| {
            agrees(kernel, &pool, &meant, "after a start")?;
            for step in 0..12 {
                let mut ending = Vec::new();
                for address in &pool {
                    let source = Source::host(IpAddr::V4(*address));
                    let state = meant.entry(*address).or_default();
                    let ttl = match numbers.next() >> 32 & 15 {
                        0 => None,
                        1 => Some(LONG),
                        2 => Some(SHORT),
                        3 | 4 => {
                            kernel.enforcer.remove(source)?;
                            state.1 = false;
                            continue;
                        }
                        _ => continue,
                    };
                    kernel.enforcer.install(source, entry(1, ttl))?;
                    state.1 = true;
                    if ttl == Some(SHORT) {
                        ending.push(*address);
                    }
                }
                if step % 3 == 0 {
                    for state in meant.values_mut() {
                        state.0 = (numbers.next() >> 40).is_multiple_of(4);
                    }
                    let listed: Vec<_> =
                        meant.iter().filter(|(_, state)| state.0).map(|(address, _)| *address).collect();
                    kernel.enforcer.replace_list(&listed)?;
                }
                // Those that have ended are still in the table, until they are swept.
                thread::sleep(OVER);
                for address in ending {
                    meant.entry(address).or_default().1 = false;
                }
                agrees(kernel, &pool, &meant, &format!("in step {step} after start {start}"))?;
                if step % 2 == 0 {
                    kernel.enforcer.sweep(1_000)?;
                    agrees(kernel, &pool, &meant, &format!("swept in step {step} after start {start}"))?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// A roster that was lost, or says what no longer is, is right after the next start.
pub(crate) fn mended() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let (config, tag_bits) = config(&bench)?;
    let pool = pool(tag_bits);
    let listed = &pool[..pool.len() / 2];
    let meant: Meant = listed.iter().map(|address| (*address, (true, false))).collect();
    bench.with_kernel(&config, |kernel| {
        kernel.enforcer.replace_list(listed)?;
        agrees(kernel, &pool, &meant, "before")
    })?;
    let mut layouts =
        std::fs::read_dir(&config.pin_dir)?.flatten().map(|layout| layout.path().join(maps::ROSTER_V4));
    let pin = layouts.find(|pin| pin.exists()).context("no roster is pinned")?;
    let aside = config.pin_dir.with_file_name("aside");
    std::fs::rename(&pin, &aside)?;
    let others = &pool[pool.len() / 3..];
    bench.with_kernel(&config, |kernel| {
        agrees(kernel, &pool, &meant, "after it was lost")?;
        kernel.enforcer.replace_list(others)?;
        Ok(())
    })?;
    // What it says now is of another list.
    std::fs::rename(&aside, &pin)?;
    let meant: Meant = others.iter().map(|address| (*address, (true, false))).collect();
    bench.with_kernel(&config, |kernel| {
        agrees(kernel, &pool, &meant, "after it was another's")?;
        kernel.enforcer.replace_list(&[])?;
        agrees(kernel, &pool, &Meant::new(), "after the list went")
    })
}
