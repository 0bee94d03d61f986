//! `cargo xtask bench ban`: from an attack to its ban in the kernel, and from a word to a way through.

use std::process::ExitCode;

use clap::Parser;
use tests::bench_ban::{self, Size};
use tests::figures;

#[derive(Parser)]
struct Arguments {
    /// Requests a second of honest clients meanwhile
    #[arg(long, default_value_t = 5000)]
    rate: u32,
    /// Attackers, one after the other
    #[arg(long, default_value_t = 500)]
    attackers: u16,
    /// How many of them are let off again
    #[arg(long, default_value_t = 200)]
    lifted: usize,
    /// Print nothing but the figures
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { rate, attackers, lifted, json } = Arguments::parse();
    figures::told(json, |say| bench_ban::run(Size { rate, attackers, lifted }, say))
}
