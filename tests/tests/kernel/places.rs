//! What is decided of places, by prefix: who it is for, who it is not, and that it is swapped whole.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, ensure};
use ipnet::IpNet;
use skyshield::dataplane::{Config, Error, HitKind};
use skyshield::engine::place::{PlaceAct, PlacePolicy, Places};
use skyshield_common::{Reason, Verdict};
use tests::packet;

use crate::bench::{Bench, Counted, source};
use crate::table::address;

pub(crate) fn policy(name: &str, act: PlaceAct) -> PlacePolicy {
    PlacePolicy { name: name.to_owned(), act, dry_run: false }
}

fn places(policies: &[PlacePolicy], prefixes: &[(&str, u8)]) -> anyhow::Result<Places> {
    let prefixes = prefixes.iter().map(|(text, policy)| Ok((text.parse::<IpNet>()?, *policy)));
    Ok(Places { policies: policies.to_vec(), prefixes: prefixes.collect::<anyhow::Result<_>>()? })
}

const SLOW: PlaceAct = PlaceAct::Limit { packets_per_sec: 1, burst: 2 };

/// Bans, limits and dry runs of places, of both families, nested; what is in none is left alone.
pub(crate) fn decided() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let config = Config { max_place_prefixes: 1_024, ..bench.config() };
    let watched = PlacePolicy { dry_run: true, ..policy("watched", PlaceAct::Ban) };
    let policies = [policy("banned", PlaceAct::Ban), policy("slow", SLOW), watched];
    let wanted = places(
        &policies,
        &[
            ("11.0.0.0/8", 0),
            ("11.7.0.0/16", 1),
            ("11.7.9.0/24", 2),
            ("2a00:100::/29", 0),
            ("2a00:101::/32", 1),
            ("2400::/12", 2),
            ("198.51.100.0/22", 1),
        ],
    )?;
    bench.with_kernel(&config, |kernel| {
        kernel.enforcer.set_places(&wanted)?;
        kernel.enforcer.set_allowed(&[source("11.255.0.0/16")?])?;
        let rows = [
            ("11.0.0.0", [Reason::BannedPlace; 3]),
            ("11.6.255.255", [Reason::BannedPlace; 3]),
            ("11.254.255.255", [Reason::BannedPlace; 3]),
            ("11.255.1.1", [Reason::AllowedBan; 3]),
            ("10.255.255.255", [Reason::Passed; 3]),
            ("12.0.0.0", [Reason::Passed; 3]),
            ("11.7.9.1", [Reason::DryRunBannedPlace; 3]),
            ("11.7.8.1", [Reason::Passed, Reason::Passed, Reason::PlaceRateExceeded]),
            ("198.51.103.255", [Reason::Passed, Reason::Passed, Reason::PlaceRateExceeded]),
            ("198.51.104.0", [Reason::Passed; 3]),
            ("2a00:100::1", [Reason::BannedPlace; 3]),
            ("2a00:107:ffff::1", [Reason::BannedPlace; 3]),
            ("2a00:108::1", [Reason::Passed; 3]),
            ("2a00:101::1", [Reason::Passed, Reason::Passed, Reason::PlaceRateExceeded]),
            ("2408::1", [Reason::DryRunBannedPlace; 3]),
            ("2410::1", [Reason::Passed; 3]),
        ];
        for (text, reasons) in rows {
            for (at, reason) in reasons.into_iter().enumerate() {
                let before = Counted::now(kernel)?;
                let verdict = kernel.attachment.judge(&packet::udp(address(text)))?;
                let counted = Counted::now(kernel)?.since(&before);
                ensure!(
                    counted.keys().eq([&reason]) && verdict == reason.verdict(),
                    "{text}, packet {at}: {verdict:?} by {counted:?}, not {reason:?}"
                );
            }
        }
        let hits = kernel.enforcer.reader()?.hits()?;
        let of = |name: &str| hits.iter().find(|hit| hit.kind == HitKind::Place && hit.name == name);
        let packets = |name| anyhow::Ok(of(name).context("no such place")?.counter.packets);
        ensure!((packets("banned")?, packets("slow")?, packets("watched")?) == (18, 9, 6), "{hits:?}");
        Ok(())
    })?;
    // They outlive the daemon, and the next one decides anew.
    bench.with_kernel(&config, |kernel| {
        ensure!(kernel.attachment.judge(&packet::udp(address("11.0.0.1")))? == Verdict::Drop);
        ensure!(kernel.attachment.judge(&packet::udp(address("2a00:100::1")))? == Verdict::Drop);
        kernel.enforcer.set_places(&Places::default())?;
        ensure!(kernel.attachment.judge(&packet::udp(address("11.0.0.1")))? == Verdict::Pass);
        let many: Vec<_> = (0..3_000_u32).map(|n| (Ipv4Addr::from_bits(0x0b00_0000 | n << 9), 24)).collect();
        let prefixes = many.into_iter().map(|(net, len)| Ok((IpNet::new(net.into(), len)?, 0)));
        let many = Places { policies: policies.to_vec(), prefixes: prefixes.collect::<anyhow::Result<_>>()? };
        let full = kernel.enforcer.set_places(&many);
        ensure!(matches!(full, Err(Error::Full { map: "PLACES_V4", capacity: 1_024 })), "{full:?}");
        Ok(())
    })
}

/// Many prefixes with many policies: the kernel says of each address what the prefixes say.
pub(crate) fn agree() -> anyhow::Result<()> {
    const PREFIXES: usize = 600;
    const PROBES: usize = 6_000;
    let bench = Bench::quiet()?;
    let config = Config { max_place_prefixes: 4_096, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        for _ in 0..3 {
            let near = || -> anyhow::Result<IpAddr> {
                let bits = getrandom::u64()?;
                Ok(if bits & 1 == 0 {
                    Ipv4Addr::from_bits(0x0b00_0000 | (bits >> 32) as u32 & 0x0003_ffff).into()
                } else {
                    Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(bits >> 40) << 60).into()
                })
            };
            let mut prefixes = Vec::new();
            for _ in 0..PREFIXES {
                let (address, dice) = (near()?, getrandom::u64()?);
                let len = if address.is_ipv4() { 14 + dice % 19 } else { 24 + dice % 41 };
                let policy = u8::from(dice >> 63 != 0);
                prefixes.push((IpNet::new(address, u8::try_from(len)?)?.trunc(), policy));
            }
            let watched = PlacePolicy { dry_run: true, ..policy("watched", PlaceAct::Ban) };
            let policies = vec![policy("banned", PlaceAct::Ban), watched];
            kernel.enforcer.set_places(&Places { policies, prefixes: prefixes.clone() })?;
            for _ in 0..PROBES {
                let address = near()?;
                let around = prefixes.iter().filter(|(net, _)| net.contains(&address));
                let best = around.max_by_key(|(net, at)| (net.prefix_len(), std::cmp::Reverse(*at)));
                let meant = if best.is_some_and(|(_, at)| *at == 0) { Verdict::Drop } else { Verdict::Pass };
                let found = kernel.attachment.judge(&packet::udp(address))?;
                ensure!(found == meant, "{address}: {found:?}, and {meant:?} is meant by {best:?}");
            }
        }
        Ok(())
    })
}

/// Places replaced while one that stays banned is flooding: none of its packets passes.
pub(crate) fn replaced() -> anyhow::Result<()> {
    const SWAPS: u32 = 100;
    let bench = Bench::quiet()?;
    let config = Config { max_place_prefixes: 4_096, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        let list = |swap: u32| -> anyhow::Result<Places> {
            let others = (0..2_000).map(|n| (Ipv4Addr::from_bits(0x1000_0000 | (n + swap * 700) << 10), 23));
            let nets = others.map(|(net, len)| Ok((IpNet::new(net.into(), len)?, 0)));
            let mut prefixes = nets.collect::<anyhow::Result<Vec<_>>>()?;
            prefixes.push(("203.0.113.0/24".parse()?, 0));
            Ok(Places { policies: vec![policy("banned", PlaceAct::Ban)], prefixes })
        };
        kernel.enforcer.set_places(&list(0)?)?;
        let before = Counted::now(kernel)?;
        let (stop, attachment, enforcer) = (AtomicBool::new(false), &kernel.attachment, &mut kernel.enforcer);
        let frame = packet::udp(address("203.0.113.7"));
        let runs = thread::scope(|scope| -> anyhow::Result<u64> {
            let flood = scope.spawn(|| -> anyhow::Result<u64> {
                let mut runs = 0;
                while !stop.load(Ordering::Relaxed) {
                    attachment.judge_often(&frame, 10_000)?;
                    runs += 10_000;
                }
                Ok(runs)
            });
            let swapped = (1..=SWAPS).try_for_each(|swap| anyhow::Ok(enforcer.set_places(&list(swap)?)?));
            stop.store(true, Ordering::Relaxed);
            let runs = flood.join().map_err(|_| anyhow::anyhow!("the flood died"))??;
            swapped?;
            Ok(runs)
        })?;
        let counted = Counted::now(kernel)?.since(&before);
        let dropped = counted.get(&Reason::BannedPlace).map_or(0, |(packets, _)| *packets);
        crate::report(&format!("{SWAPS} times other places, {runs} banned packets, {dropped} dropped"));
        ensure!(dropped == runs && counted.len() == 1, "{counted:?} of {runs}");
        Ok(())
    })
}
