//! `cargo xtask bench control`: decisions by the million, over a real kernel and a real disk.

use std::process::ExitCode;

use clap::Parser;
use nix::libc;
use tests::bench_control::{self, Counting, Size};
use tests::figures;

/// Counts what the daemon's parts hold.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The clock on the wall can be stepped in this program.
///
/// # Safety
/// As of the C library's.
#[expect(unsafe_code, reason = "the C library's interface is unsafe")]
// SAFETY: it is the C library's function by name, kinds and outcome, and this program has no other.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, at: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the caller keeps what `clock_gettime` asks for.
    unsafe { bench_control::tell(clock, at) }
}

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
