//! `cargo xtask bench admin`: the admin API under a million incidents and a thousand readers.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tests::bench_admin::{self, Size};
use tests::figures;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Incidents stored
    #[arg(long, default_value_t = 1_000_000)]
    incidents: u32,
    /// Readers of the stream
    #[arg(long, default_value_t = 1000)]
    readers: usize,
    /// Seconds of each round, with and without readers
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Rounds of each
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Print nothing but the figures
    #[arg(long)]
    json: bool,
}

/// What the bench starts of itself.
#[derive(Subcommand)]
enum Part {
    /// The readers of the stream, until standard input ends; its first line is the token
    #[command(hide = true)]
    Audience { api: SocketAddr, count: usize },
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { part, incidents, readers, seconds, rounds, json } = Arguments::parse();
    if let Some(Part::Audience { api, count }) = part {
        bench_admin::sit(api, count)?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(figures::told(json, |say| {
        bench_admin::run(Size { incidents, readers, round: Duration::from_secs(seconds), rounds }, say)
    }))
}
