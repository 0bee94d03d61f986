//! Sources that the program has found clear: whatever is said against one of them next meets its next packet.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use ipnet::IpNet;
use skyshield::dataplane::{Config, Enforcer, Kernel, List};
use skyshield::engine::place::{PlaceAct, PlacePolicy, Places};
use skyshield_common::{Reason, Verdict, rate};
use tests::packet;

use crate::bench::{Bench, Counted, entry, source};
use crate::roster::LISTED;
use crate::table::address;

const V4: &str = "203.0.113.7";

/// A rate that nothing is over: by it a source has its cell, without which it has no clearance.
pub(crate) const RATE: u64 = 1_000_000;
pub(crate) const BURST: u64 = 100 * RATE;

/// With a roster, and with as few hosts as a processor has near.
fn configs(bench: &Bench) -> [Config; 2] {
    [LISTED, 1_000].map(|max_listed| Config {
        max_listed,
        max_listed_prefixes: 1_000,
        max_place_prefixes: 1_000,
        rate_packets_per_sec: RATE,
        rate_burst: BURST,
        ..bench.config()
    })
}

/// What may be said against a source, and taken back.
#[derive(Clone, Copy, Debug)]
enum Against {
    Ban,
    List,
    Places,
}

impl Against {
    fn say(self, enforcer: &mut dyn Enforcer, whom: Option<&str>, other: &str) -> anyhow::Result<()> {
        match self {
            Self::Ban => match whom {
                Some(whom) => enforcer.install(source(whom)?, entry(1, None))?,
                None => {
                    enforcer.remove(source(other)?)?;
                }
            },
            Self::List => {
                let list: Vec<IpNet> = whom.into_iter().map(prefix).collect::<Result<_, _>>()?;
                enforcer.load_list(&List::of(&list))?;
            }
            Self::Places => {
                let policy = PlacePolicy { name: "banned".to_owned(), act: PlaceAct::Ban, dry_run: false };
                let prefixes = whom.into_iter().map(|whom| Ok((prefix(whom)?, 0)));
                let prefixes = prefixes.collect::<anyhow::Result<_>>()?;
                enforcer.set_places(&Places { policies: vec![policy], prefixes })?;
            }
        }
        Ok(())
    }
}

fn prefix(text: &str) -> anyhow::Result<IpNet> {
    Ok(source(text)?.as_prefix())
}

/// All clearances there are.
fn clearances(kernel: &Kernel) -> anyhow::Result<BTreeSet<u64>> {
    let cells = kernel.attachment.cells()?;
    let front = cells.iter().take(rate::FRONT as usize);
    Ok(front.flat_map(|bucket| rate::CLEARED.map(|at| bucket[at])).filter(|word| *word != 0).collect())
}

fn passes(kernel: &Kernel, frame: &[u8], when: &str) -> anyhow::Result<()> {
    // The first gives it a cell, the second its clearance, by which the third goes.
    for packet in 1..=3 {
        let verdict = kernel.attachment.judge(frame)?;
        ensure!(verdict == Verdict::Pass, "packet {packet} {when}: {verdict:?}");
    }
    Ok(())
}

/// How long prefixes are that are put in; the last of IPv6 is near to every address from then on.
const ROWS: [(Against, bool, &[u8]); 6] = [
    (Against::Ban, false, &[32, 31, 25, 24, 18, 16, 12]),
    (Against::List, false, &[32, 31, 24, 14]),
    (Against::Places, false, &[32, 24, 13]),
    (Against::List, true, &[128, 64, 32]),
    (Against::Places, true, &[48, 29]),
    (Against::Ban, true, &[128, 65, 64, 48, 40, 32, 24, 4]),
];

/// Each kind of ban and list, of both families: from the next packet on, and not a packet longer.
pub(crate) fn ended() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    for config in configs(&bench) {
        bench.with_kernel(&config, |kernel| {
            let forms = ROWS
                .iter()
                .flat_map(|&(against, is_v6, lens)| lens.iter().map(move |len| (against, is_v6, *len)));
            for (at, (against, is_v6, len)) in (0_u16..).zip(forms) {
                // Each source is far from the others: what was near to one may be taken to be so for long.
                let whom: IpAddr = if is_v6 {
                    Ipv6Addr::from([0x2a00 + at, 0xdb8, 7, 8, 0, 0, 0, 9]).into()
                } else {
                    Ipv4Addr::from_bits(0x1000_0000 + (u32::from(at) << 20) + 0x7107).into()
                };
                let form = IpNet::new(whom, len)?.trunc().to_string();
                let (frame, before) = (packet::udp(whom), clearances(kernel)?);
                passes(kernel, &frame, &format!("before {against:?} of {form}"))?;
                ensure!(!clearances(kernel)?.is_subset(&before), "no clearance before {against:?} of {form}");
                against.say(&mut *kernel.enforcer, Some(&form), &form)?;
                let verdict = kernel.attachment.judge(&frame)?;
                ensure!(verdict == Verdict::Drop, "{against:?} of {form}: {verdict:?}");
                against.say(&mut *kernel.enforcer, None, &form)?;
                passes(kernel, &frame, &format!("after {against:?} of {form}"))?;
            }
            Ok(())
        })?;
        // The next daemon takes over what the last has left, clearances as well.
        bench.with_kernel(&config, |kernel| {
            let frame = packet::udp(address(V4));
            passes(kernel, &frame, "after a start")?;
            Against::Ban.say(&mut *kernel.enforcer, Some(V4), V4)?;
            ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "after a start");
            Against::Ban.say(&mut *kernel.enforcer, None, V4)
        })?;
        std::fs::remove_dir_all(&config.pin_dir)?;
    }
    Ok(())
}

/// Sources that come but once have no clearance, and put nobody else's out.
pub(crate) fn kept() -> anyhow::Result<()> {
    const ONCE: u32 = 20_000;
    let bench = Bench::quiet()?;
    let [config, _] = configs(&bench);
    bench.with_kernel(&config, |kernel| {
        let whom: Ipv4Addr = V4.parse()?;
        passes(kernel, &packet::udp(whom.into()), "at first")?;
        for n in 0..ONCE {
            kernel
                .attachment
                .judge(&packet::udp(Ipv4Addr::from_bits(skyshield_ebpf::scattered(n)).into()))?;
        }
        // Two in 2^16 that have one cell have one tag as well, and are taken for each other.
        let all = clearances(kernel)?;
        let is_there = all.iter().any(|word| word >> 32 == u64::from(whom.to_bits()));
        ensure!(is_there && all.len() <= 8, "{} clearances, of which one is its own: {is_there}", all.len());
        // Of an address that nobody has, a packet is odd each time.
        for _ in 0..4 {
            let before = Counted::now(kernel)?;
            kernel.attachment.judge(&packet::udp(address("127.0.0.9")))?;
            let counted = Counted::now(kernel)?.since(&before);
            ensure!(counted.keys().eq([&Reason::MartianSource]), "{counted:?}");
        }
        ensure!(clearances(kernel)? == all, "one of an address that nobody has");
        Ok(())
    })
}

/// The same under a flood of that source, on another CPU: but for the packet that is being judged at that moment, none
/// passes once it is banned.
pub(crate) fn raced() -> anyhow::Result<()> {
    const TIMES: u32 = 300;
    const AT_ONCE: u32 = 2_000;
    let bench = Bench::quiet()?;
    for config in configs(&bench) {
        bench.with_kernel(&config, |kernel| {
            let Kernel { enforcer, attachment, .. } = kernel;
            let (frame, stop) = (packet::udp(address(V4)), AtomicBool::new(false));
            let passed = |enforcer: &dyn Enforcer| -> anyhow::Result<u64> {
                let counters = enforcer.counters()?;
                let of = counters.iter().find(|(reason, _)| *reason == Reason::Passed);
                Ok(of.map_or(0, |(_, counter)| counter.packets))
            };
            let banned = thread::scope(|scope| -> anyhow::Result<u32> {
                let flood = scope.spawn(|| -> anyhow::Result<()> {
                    while !stop.load(Ordering::Relaxed) {
                        attachment.judge_often(&frame, AT_ONCE)?;
                    }
                    Ok(())
                });
                let told = (0..TIMES).try_fold(0, |banned, time| -> anyhow::Result<u32> {
                    let before = passed(&**enforcer)?;
                    wait_until(|| Ok(passed(&**enforcer)? > before))?;
                    let form = [V4, "203.0.113.0/24"][time as usize % 2];
                    Against::Ban.say(&mut **enforcer, Some(form), form)?;
                    let at_once = passed(&**enforcer)?;
                    thread::sleep(Duration::from_millis(1));
                    let later = passed(&**enforcer)?;
                    ensure!(later <= at_once + 1, "{} passed by ban {time}, of {form}", later - at_once);
                    Against::Ban.say(&mut **enforcer, None, form)?;
                    Ok(banned + 1)
                });
                stop.store(true, Ordering::Relaxed);
                flood.join().map_err(|_| anyhow::anyhow!("the flood died"))??;
                told
            })?;
            crate::report(&format!("banned {banned} times under its own flood"));
            Ok(())
        })?;
        std::fs::remove_dir_all(&config.pin_dir)?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the test waits")]
fn wait_until(mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let started = Instant::now();
    while !is_so()? {
        ensure!(started.elapsed() < PATIENCE, "nothing passes");
    }
    Ok(())
}
