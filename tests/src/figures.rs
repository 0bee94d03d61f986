//! What benches have in common: how their figures are made and told.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures are the product")]

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

/// Tells what `measure` comes to on standard output's last line. What it says meanwhile goes there too, unless the
/// figures are to stand there `alone`.
pub fn told<F: Display>(alone: bool, measure: impl FnOnce(&dyn Fn(&str)) -> Result<F>) -> ExitCode {
    let say = |line: &str| {
        if alone { eprintln!("{line}") } else { println!("{line}") }
    };
    match measure(&say) {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is at `share` (0 to 1) of `times` in rising order.
pub fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "few enough to count"
    )]
    let at = (times.len() as f64 * share) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}
