//! Lists of prefixes of both families: what they hold, and that nothing leaks when one replaces another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::ensure;
use ipnet::IpNet;
use skyshield::dataplane::{Config, Error, Kernel, List, Replaced};
use skyshield::engine::source::Source;
use skyshield_common::{Reason, Verdict};
use tests::packet;

use crate::bench::{Bench, Counted, entry, source};
use crate::clearance;

/// Numbers that look random and are the same each time.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    #[expect(clippy::cast_possible_truncation, reason = "a number below `below`")]
    pub(crate) fn below(&mut self, below: u64) -> u8 {
        (self.next() % below) as u8
    }

    /// An address of one of a few networks, so that prefixes meet; none of those that nobody has.
    fn near(&mut self) -> IpAddr {
        let bits = self.next();
        if bits & 1 == 0 {
            Ipv4Addr::from_bits(0x0b00_0000 | (bits >> 32) as u32 & 0x0003_ffff).into()
        } else {
            Ipv6Addr::from_bits(
                0x2001_0db8 << 96 | u128::from(bits >> 40) << 44 | u128::from(bits >> 8 & 0xff),
            )
            .into()
        }
    }

    fn prefix(&mut self) -> IpNet {
        let address = self.near();
        let len = match address {
            IpAddr::V4(_) => 20 + self.below(13),
            IpAddr::V6(_) => 40 + self.below(89),
        };
        IpNet::new(address, len).unwrap_or(IpNet::from(address)).trunc()
    }
}

fn verdict(kernel: &Kernel, address: IpAddr) -> anyhow::Result<Verdict> {
    Ok(kernel.attachment.judge(&packet::udp(address))?)
}

fn agrees(kernel: &Kernel, list: &[IpNet], numbers: &mut Numbers, probes: usize) -> anyhow::Result<()> {
    let edges = list.iter().flat_map(|net| [net.network(), net.broadcast()]);
    let probes: Vec<_> = edges.chain((0..probes).map(|_| numbers.near())).collect();
    for address in probes {
        let meant = if list.iter().any(|net| net.contains(&address)) { Verdict::Drop } else { Verdict::Pass };
        // Until it goes by a clearance, if there is one to be had.
        for _ in 0..3 {
            let found = verdict(kernel, address)?;
            ensure!(found == meant, "{address}: {found:?}, and {meant:?} is meant");
        }
    }
    Ok(())
}

/// A ban of every width: both its ends are dropped, and its neighbour passes.
pub(crate) fn widths() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    bench.with_kernel(&bench.config(), |kernel| {
        for (address, least) in [("11.22.33.44", 8), ("2a00:1450:4001:82b:1:2:3:4", 4)] {
            let address: IpAddr = address.parse()?;
            for len in least..=IpNet::from(address).prefix_len() {
                let net = IpNet::new(address, len)?.trunc();
                let below = IpNet::from(address).prefix_len() - len;
                let beside: IpAddr = match net.network() {
                    IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() ^ 1 << below).into(),
                    IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() ^ 1 << below).into(),
                };
                kernel.enforcer.install(Source::prefix(net), entry(1, None))?;
                for (address, meant) in [
                    (net.network(), Verdict::Drop),
                    (net.broadcast(), Verdict::Drop),
                    (beside, Verdict::Pass),
                ] {
                    let found = verdict(kernel, address)?;
                    ensure!(found == meant, "{address} beside a ban of {net}: {found:?}");
                }
                kernel.enforcer.remove(Source::prefix(net))?;
                ensure!(verdict(kernel, address)? == Verdict::Pass, "{address} after a ban of {net}");
            }
        }
        Ok(())
    })
}

pub(crate) fn agree() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let config = Config {
        max_listed: 8_192,
        max_listed_prefixes: 8_192,
        rate_packets_per_sec: clearance::RATE,
        rate_burst: clearance::BURST,
        ..bench.config()
    };
    let mut numbers = Numbers(7);
    let mut last = Vec::new();
    bench.with_kernel(&config, |kernel| {
        for entries in [1, 40, 400, 3, 0, 200] {
            let list: Vec<_> = (0..entries).map(|_| numbers.prefix()).collect();
            kernel.enforcer.load_list(&List::of(&list))?;
            ensure!(
                kernel.enforcer.load_list(&List::of(&list))? == Replaced::default(),
                "the same list changed something"
            );
            agrees(kernel, &list, &mut numbers, 400)?;
            last = list;
        }
        let many: Vec<_> = (0..8_193_u32)
            .map(|n| IpNet::from(IpAddr::V6(Ipv6Addr::from_bits(u128::from(n) << 65))))
            .collect();
        let full = kernel.enforcer.load_list(&List::of(&many));
        ensure!(matches!(full, Err(Error::Full { map: "RANGES_V6", capacity: 8_192 })), "{full:?}");
        agrees(kernel, &last, &mut numbers, 100)
    })?;
    // The next daemon takes it up.
    bench.with_kernel(&config, |kernel| {
        agrees(kernel, &last, &mut numbers, 400)?;
        // A ban inside of a listed prefix comes and goes beside it, and a wider one around it.
        let inside: IpNet = "198.51.100.0/24".parse()?;
        kernel.enforcer.load_list(&List::of(&[inside]))?;
        for ban in ["198.51.100.0/28", "198.51.0.0/16", "198.51.100.7"] {
            kernel.enforcer.install(source(ban)?, entry(1, None))?;
            ensure!(kernel.enforcer.remove(source(ban)?)?);
            ensure!(
                verdict(kernel, Ipv4Addr::new(198, 51, 100, 7).into())? == Verdict::Drop,
                "the list went with {ban}"
            );
        }
        kernel.enforcer.load_list(&List::default())?;
        ensure!(verdict(kernel, Ipv4Addr::new(198, 51, 100, 7).into())? == Verdict::Pass);
        Ok(())
    })
}

/// `entries` prefixes of IPv4 and half as many of IPv6, all over the space.
fn many(entries: u32, seed: u64) -> Vec<IpNet> {
    let mut numbers = Numbers(seed);
    (0..entries)
        .map(|n| {
            let bits = numbers.next();
            if n % 3 == 0 {
                let address = Ipv6Addr::from_bits(0x2000 << 112 | u128::from(bits >> 4) << 52);
                IpNet::new(address.into(), 48 + (bits & 0xf) as u8)
            } else {
                let address = Ipv4Addr::from_bits((bits >> 32) as u32 & 0x3fff_ffff | 0x4000_0000);
                IpNet::new(address.into(), 24 + (bits & 7) as u8)
            }
            .map_or(IpNet::from(IpAddr::from([0; 4])), |net| net.trunc())
        })
        .collect()
}

/// How many prefixes a list of the test has: a million with `SKYSHIELD_LISTED=1000000`.
fn listed() -> u32 {
    std::env::var("SKYSHIELD_LISTED").ok().and_then(|count| count.parse().ok()).unwrap_or(60_000)
}

pub(crate) fn replaced() -> anyhow::Result<()> {
    const SWAPS: u64 = 20;
    let bench = Bench::quiet()?;
    let config = Config { max_listed: 1_000, max_listed_prefixes: listed(), ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        // On every list, each time in another form.
        let forms = ["203.0.113.7/32", "203.0.113.6/31", "203.0.0.0/16", "203.0.113.0/24"];
        let list = |swap: u64| -> anyhow::Result<Vec<IpNet>> {
            let mut all = many(listed() - 2, swap);
            all.push(forms[usize::try_from(swap)? % forms.len()].parse()?);
            all.push("2001:db8::/32".parse()?);
            Ok(all)
        };
        #[expect(clippy::disallowed_methods, reason = "the test measures")]
        let begun = Instant::now();
        let replaced = kernel.enforcer.load_list(&List::of(&list(0)?))?;
        let took = begun.elapsed();
        let before = Counted::now(kernel)?;
        let (stop, attachment) = (AtomicBool::new(false), &kernel.attachment);
        let enforcer = &mut kernel.enforcer;
        let frames = [packet::udp(Ipv4Addr::new(203, 0, 113, 7).into()), packet::udp("2001:db8::9".parse()?)];
        let runs = thread::scope(|scope| -> anyhow::Result<u64> {
            let flood = scope.spawn(|| -> anyhow::Result<u64> {
                let mut runs = 0;
                while !stop.load(Ordering::Relaxed) {
                    for frame in &frames {
                        attachment.judge_often(frame, 5_000)?;
                        runs += 5_000;
                    }
                }
                Ok(runs)
            });
            let swapped = (1..=SWAPS).try_for_each(|swap| {
                enforcer.load_list(&List::of(&list(swap)?))?;
                // What is too much for nothing is computed anew, under the flood as well.
                enforcer.sweep(1).map(drop).map_err(anyhow::Error::from)
            });
            stop.store(true, Ordering::Relaxed);
            let runs = flood.join().map_err(|_| anyhow::anyhow!("the flood died"))??;
            swapped?;
            Ok(runs)
        })?;
        let counted = Counted::now(kernel)?.since(&before);
        let dropped: u64 = [Reason::BannedExact, Reason::BannedPrefix]
            .iter()
            .map(|reason| counted.get(reason).map_or(0, |(packets, _)| *packets))
            .sum();
        crate::report(&format!(
            "{} ranges of {} prefixes loaded in {took:?}, {SWAPS} lists replaced, {runs} listed packets, {} leaked",
            replaced.added, listed(), runs - dropped
        ));
        ensure!(dropped == runs, "{counted:?} of {runs}");
        let last = list(SWAPS)?;
        for net in last.iter().step_by(97) {
            ensure!(verdict(kernel, net.network())? == Verdict::Drop, "{net}");
        }
        Ok(())
    })
}
