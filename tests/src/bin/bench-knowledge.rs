//! `cargo xtask bench knowledge`: places, lists and dead providers.

use std::process::ExitCode;

use clap::Parser;
use tests::bench_knowledge::{self, Size};
use tests::figures;

#[derive(Parser)]
struct Arguments {
    /// Prefixes of a list
    #[arg(long, default_value_t = 1_000_000)]
    prefixes: u32,
    /// Stretches of a database
    #[arg(long, default_value_t = 400_000)]
    stretches: u32,
    /// Requests of a round
    #[arg(long, default_value_t = 1000)]
    requests: u32,
    /// Load the list into a model and not into the kernel: needs no root
    #[arg(long)]
    no_kernel: bool,
    /// Print nothing but the figures
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { prefixes, stretches, requests, no_kernel, json } = Arguments::parse();
    figures::told(json, |say| {
        bench_knowledge::run(Size { prefixes, stretches, requests, kernel: !no_kernel }, say)
    })
}
