//! `cargo xtask bench kernel`: what the packet path costs, beside a floor and its peers.
#![expect(clippy::print_stdout, reason = "the figures are the product")]

use std::process::ExitCode;

use tests::{bench_kernel, figures};

fn main() -> ExitCode {
    if let Some(exit) = bench_kernel::hold_if_asked() {
        return exit;
    }
    if let Some(exit) = bench_kernel::verify_if_asked(&|line| println!("{line}")) {
        return exit;
    }
    let is_bare = std::env::args().any(|argument| argument == "--json");
    figures::told(is_bare, |say| bench_kernel::run(say))
}
