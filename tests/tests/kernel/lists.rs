//! A list of many addresses, replaced under a flood.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use skyshield::dataplane::{Config, Error, Replaced, Shape};
use skyshield_common::{Reason, Verdict};
use tests::packet;

use crate::bench::{Bench, Counted, entry, source};
use crate::table::address;

/// The `n`th of addresses that lie all over the space, none twice.
fn scattered(n: u32) -> Ipv4Addr {
    let address = n.wrapping_mul(0x9e37_79b1);
    // Kept out of what is impossible.
    Ipv4Addr::from_bits(address & 0x3fff_ffff | 0x4000_0000)
}

/// Addresses on a list.
pub(crate) const LISTED: u32 = 20_000;

pub(crate) fn replaced(max_listed: u32) -> anyhow::Result<()> {
    const SWAPS: u32 = 20;
    let bench = Bench::quiet()?;
    let config = Config { max_listed, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        let stays = Ipv4Addr::new(203, 0, 113, 7);
        let list = |swap: u32| {
            let others = (0..LISTED - 1).map(|n| scattered(n + swap * LISTED / 2));
            others.chain([stays]).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        let first = list(0);
        let replaced = kernel.enforcer.replace_list(&first)?;
        ensure!(replaced == Replaced { added: u32::try_from(first.len())?, removed: 0 }, "{replaced:?}");
        ensure!(kernel.enforcer.replace_list(&first)? == Replaced::default());
        let before = Counted::now(kernel)?;
        let (stop, attachment) = (AtomicBool::new(false), &kernel.attachment);
        let enforcer = &mut kernel.enforcer;
        let frame = packet::udp(IpAddr::V4(stays));
        let runs = thread::scope(|scope| -> anyhow::Result<u64> {
            let flood = scope.spawn(|| -> anyhow::Result<u64> {
                let mut runs = 0;
                while !stop.load(Ordering::Relaxed) {
                    attachment.judge_often(&frame, 10_000)?;
                    runs += 10_000;
                }
                Ok(runs)
            });
            let swapped = (1..=SWAPS).try_for_each(|swap| enforcer.replace_list(&list(swap)).map(drop));
            stop.store(true, Ordering::Relaxed);
            let runs = flood.join().map_err(|_| anyhow::anyhow!("the flood died"))??;
            swapped?;
            Ok(runs)
        })?;
        let counted = Counted::now(kernel)?.since(&before);
        let dropped = counted.get(&Reason::BannedExact).map_or(0, |(packets, _)| *packets);
        crate::report(&format!("{SWAPS} lists replaced, {runs} listed packets, {dropped} dropped"));
        ensure!(dropped == runs && counted.len() == 1, "{counted:?} of {runs}");

        // Every address of the last list, and none of the first that is not on it.
        let last: BTreeSet<_> = list(SWAPS).into_iter().collect();
        for listed in &last {
            ensure!(kernel.attachment.judge(&packet::udp(IpAddr::V4(*listed)))? == Verdict::Drop, "{listed}");
        }
        for gone in first.iter().filter(|address| !last.contains(address)) {
            ensure!(kernel.attachment.judge(&packet::udp(IpAddr::V4(*gone)))? == Verdict::Pass, "{gone}");
        }
        // A ban of a listed address comes and goes beside the list.
        let both = source(&stays.to_string())?;
        kernel.enforcer.install(both, entry(1, None))?;
        kernel.enforcer.replace_list(&[])?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "the ban went with the list");
        kernel.enforcer.replace_list(&[stays])?;
        kernel.enforcer.remove(both)?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "the list went with the ban");
        let many: Vec<_> = (0..=max_listed).map(scattered).collect();
        let full = kernel.enforcer.replace_list(&many);
        ensure!(matches!(full, Err(Error::Full { .. })), "{full:?}");
        ensure!(kernel.enforcer.entries()?.is_empty());
        Ok(())
    })
}

/// A source with a rate of its own, among others that have the common one.
pub(crate) fn shaped() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let config = Config { rate_packets_per_sec: 1, rate_burst: 10_000, ..bench.config() };
    bench.with_kernel(&config, |kernel| {
        for text in ["203.0.113.7", "2001:db8:1::7"] {
            let shaped = address(text);
            kernel.enforcer.shape(shaped, Some(Shape { packets_per_sec: 1, burst: 5 }))?;
            let before = Counted::now(kernel)?;
            kernel.attachment.judge_often(&packet::udp(shaped), 100)?;
            kernel.attachment.judge_often(&packet::udp(address("203.0.113.8")), 100)?;
            let counted = Counted::now(kernel)?.since(&before);
            let passed = counted.get(&Reason::Passed).map_or(0, |(packets, _)| *packets);
            ensure!(passed == 105, "{passed} of 5 and 100");
            kernel.enforcer.shape(shaped, None)?;
            thread::sleep(Duration::from_millis(20));
            ensure!(kernel.attachment.judge_often(&packet::udp(shaped), 100)? == Verdict::Pass);
        }
        Ok(())
    })
}
