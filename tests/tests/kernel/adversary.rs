//! Decisions that try to do harm, over a real kernel and a real disk.

use anyhow::ensure;

/// How many; `SKYSHIELD_DECISIONS` says otherwise.
const DECISIONS: u32 = 10_000;

pub(crate) fn beset() -> anyhow::Result<()> {
    let decisions = std::env::var("SKYSHIELD_DECISIONS").ok().and_then(|told| told.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let fate = runtime.block_on(tests::bench_control::beset(decisions.unwrap_or(DECISIONS), 7))?;
    ensure!(fate.made > 100 && fate.protected > 0 && fate.in_force > 100, "he was idle: {fate:?}");
    ensure!(fate.widened > 0, "no detector has widened a ban: {fate:?}");
    fate.check()
}
