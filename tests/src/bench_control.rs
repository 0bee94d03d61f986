//! The bench of decisions: what a million of them cost, how long one takes among them, and whether an
//! adversary can make ledger, store and kernel disagree or reach whom nobody may ban.

mod adversary;
mod chance;
mod figures;
mod machine;
mod memory;
mod wall;

use anyhow::Result;
use serde_json::{Value, json};

pub use adversary::{Fate, beset};
pub use chance::Chance;
pub use memory::Counting;
pub use wall::tell;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Bans in force.
    pub bans: u32,
    /// Decisions of the adversary.
    pub decisions: u32,
    /// His seed.
    pub seed: u64,
}

/// Runs it all and returns the figures, one JSON object.
pub fn run(size: Size, say: &dyn Fn(&str)) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut figures = figures::measure(&runtime, size.bans, say)?;
    say(&format!("{} decisions of an adversary with seed {}", size.decisions, size.seed));
    let fate = runtime.block_on(beset(size.decisions, size.seed))?;
    fate.check()?;
    figures["adversary"] = json!({
        "decisions": size.decisions,
        "bans_made": fate.made,
        "refused_for_protection": fate.protected,
        "clock_steps": fate.steps,
        "widened": fate.widened,
        "in_force": fate.in_force,
        "protected_and_banned": fate.harmed,
        "ledger_store_differences": fate.store_differences,
        "ledger_kernel_differences": fate.kernel_differences,
    });
    Ok(figures)
}
