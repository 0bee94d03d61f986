//! `cargo xtask bench tap`: what the tap hears of a busy server, and what that costs.

use std::process::ExitCode;

use clap::Parser;
use tests::bench_tap::{self, Size};
use tests::figures;

#[derive(Parser)]
struct Arguments {
    /// Rounds with the tap and without it
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of one of them
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Connections at a time
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// Print nothing but the figures
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { rounds, seconds, connections, json } = Arguments::parse();
    figures::told(json, |say| bench_tap::run(Size { rounds, seconds, connections }, say))
}
