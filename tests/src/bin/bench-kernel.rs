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
    let is_asked = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    let mut is_met = false;
    let told = figures::told(is_asked("--json"), |say| {
        let answer = bench_kernel::run(say)?;
        is_met = answer.is_met;
        Ok(answer.figures)
    });
    if is_asked("--check") && !is_met { ExitCode::FAILURE } else { told }
}
