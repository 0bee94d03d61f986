//! Packets through the loaded program by `BPF_PROG_TEST_RUN`: each row a verdict and a counter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::ensure;
use skyshield::dataplane::{Config, Kernel, Pinned};
use skyshield_common::{Reason, Verdict};
use tests::packet;

use crate::bench::{Bench, Counted, entry, source};
use crate::table::{Setting, address};

/// Reasons that no row can bring about: the kernel runs no frame shorter than its Ethernet header,
/// an array's slot is never missing, a thousand sources at once leave cells to spare, and cookies are
/// another program's.
const BEYOND_ROWS: [Reason; 5] = [
    Reason::TruncatedEthernet,
    Reason::TruncatedEthernetDropped,
    Reason::Unexpected,
    Reason::RateUntracked,
    Reason::SynAnswered,
];
/// As many rows as must be there at the least.
const ROWS: usize = 300;

pub(crate) fn verdicts() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    let mut hit = BTreeSet::from(BEYOND_ROWS);
    let mut rows = 0;
    for (setting, packets) in crate::table::all() {
        // Pins of its own each: rates and silence must not reach the next.
        let config = Config {
            pin_dir: bench.bpffs.path().join(setting.description.replace(' ', "-")),
            ..bench.config()
        };
        bench.with_kernel(&config, |kernel| {
            apply(kernel, &config, &setting)?;
            for (description, frame, reason) in packets {
                let before = Counted::now(kernel)?;
                let verdict = kernel.attachment.judge(&frame)?;
                let counted = Counted::now(kernel)?.since(&before);
                let expected = BTreeMap::from([(reason, (1, frame.len() as u64))]);
                ensure!(
                    counted == expected && verdict == reason.verdict(),
                    "{}: {description}: {verdict:?} by {counted:?}, not {reason:?}",
                    setting.description
                );
                hit.insert(reason);
                rows += 1;
            }
            Ok(())
        })?;
        detach(&config)?;
    }
    let missed: Vec<_> = Reason::ALL.into_iter().filter(|reason| !hit.contains(reason)).collect();
    crate::report(&format!("{rows} rows, {} reasons", hit.len()));
    ensure!(missed.is_empty(), "no row has {missed:?}");
    ensure!(rows >= ROWS, "{rows} rows only");
    Ok(())
}

fn apply(kernel: &mut Kernel, config: &Config, setting: &Setting) -> anyhow::Result<()> {
    for (decision, ban) in (1..).zip(setting.bans) {
        kernel.enforcer.install(source(ban)?, entry(decision, None))?;
    }
    for ban in setting.ended_bans {
        kernel.enforcer.install(source(ban)?, entry(1, Some(Duration::ZERO)))?;
    }
    let allowed = setting.allowed.iter().map(|text| source(text)).collect::<Result<Vec<_>, _>>()?;
    kernel.enforcer.set_allowed(&allowed)?;
    let mut settings = config.settings();
    (setting.change)(&mut settings);
    kernel.enforcer.set_settings(settings)?;
    if setting.silent {
        kernel.enforcer.heartbeat(Duration::ZERO)?;
    }
    Ok(())
}

fn detach(config: &Config) -> anyhow::Result<()> {
    if let Some(pinned) = Pinned::open(&config.pin_dir)? {
        pinned.detach()?;
    }
    Ok(())
}

pub(crate) fn nested_prefixes() -> anyhow::Result<()> {
    let bench = Bench::quiet()?;
    bench.with_kernel(&bench.config(), |kernel| {
        let frame = packet::udp(address("203.0.113.3"));
        let (outer, inner) = (source("203.0.113.0/24")?, source("203.0.113.0/28")?);
        kernel.enforcer.install(outer, entry(1, None))?;
        kernel.enforcer.install(inner, entry(2, Some(Duration::ZERO)))?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "the ended inner ban hid the outer one");
        kernel.enforcer.remove(outer)?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Pass, "the lifted outer ban is still in force");
        kernel.enforcer.install(outer, entry(3, None))?;
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "the inner entry did not take it up");
        ensure!(kernel.enforcer.sweep(10)? == 1);
        ensure!(kernel.attachment.judge(&frame)? == Verdict::Drop, "swept, and the outer ban went with it");
        Ok(())
    })
}
