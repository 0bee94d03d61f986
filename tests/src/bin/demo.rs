//! `cargo xtask demo`: an attack over HTTP ends as a dropped packet in the kernel, for all to see.
#![expect(clippy::print_stderr, reason = "what went wrong is said where the command was given")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use tests::demo::{Wish, show};
use tests::requirement::Requirement;
use tokio::signal::unix::{SignalKind, signal};

/// Shows honest clients and attackers at a guarded shop, in network namespaces of its own.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask demo")]
struct Arguments {
    /// End after this many seconds [default: at Ctrl-C]
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// End with one JSON object on the last line
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(missing) = Requirement::Kernel.missing() {
        eprintln!("error: the demo {missing}");
        return ExitCode::FAILURE;
    }
    let wish = Wish { lasting: arguments.seconds.map(Duration::from_secs), json: arguments.json };
    let interrupted = Arc::new(AtomicBool::new(false));
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    for signal in signals.into_iter().flatten() {
        let interrupted = Arc::clone(&interrupted);
        let mut signal = signal;
        tokio::spawn(async move {
            signal.recv().await;
            interrupted.store(true, Ordering::Relaxed);
        });
    }
    match tokio::task::spawn_blocking(move || show(wish, &interrupted)).await {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::FAILURE,
        Ok(Err(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
