//! `cargo xtask bench monitor`: what is measured and told of, and what that costs.

use std::process::ExitCode;

use clap::Parser;
use tests::bench_monitor::{self, Part, Size};
use tests::figures;

#[derive(Parser)]
struct Arguments {
    /// Go to the length that the product is held to: a million sources, a minute of events; also where
    /// `SKYSHIELD_FULL` is set
    #[arg(long)]
    full: bool,
    /// Only this part
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// Print nothing but the figures
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { full, only, json } = Arguments::parse();
    let is_full = full || std::env::var_os("SKYSHIELD_FULL").is_some_and(|value| value != "0");
    figures::told(json, |say| bench_monitor::run(if is_full { Size::FULL } else { Size::SHORT }, only, say))
}
