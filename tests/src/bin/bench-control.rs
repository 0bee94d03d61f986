//! `cargo xtask bench control`: decisions by the million, over a real kernel and a real disk.

use std::process::ExitCode;

use clap::Parser;
use tests::bench_control::{self, Counting, Size};
use tests::figures;

/// Counts what the daemon's parts hold.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Parser)]
struct Arguments {
    /// Bans in force
    #[arg(long, default_value_t = 1_000_000)]
    bans: u32,
    /// Decisions that try to do harm
    #[arg(long, default_value_t = 1_000_000)]
    decisions: u32,
    /// The adversary's seed
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Print nothing but the figures
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { bans, decisions, seed, json } = Arguments::parse();
    figures::told(json, |say| bench_control::run(Size { bans, decisions, seed }, say))
}
