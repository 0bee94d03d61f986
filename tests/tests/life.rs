//! A daemon under load through its own life: configurations change, versions change, clients are slow.
//! Needs nothing but a loopback interface. `SKYSHIELD_FULL=1` runs the full counts, which takes minutes.
#![expect(clippy::print_stderr, reason = "a measurement is told beside the verdict on it")]

use std::process::ExitCode;

use libtest_mimic::Arguments;
use tests::requirement::trial;

#[path = "life/load.rs"]
mod load;
#[path = "life/reloads.rs"]
mod reloads;
#[path = "life/slow.rs"]
mod slow;
#[path = "life/upgrades.rs"]
mod upgrades;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each measures what the others would disturb.
    arguments.test_threads = Some(1);
    let tests: [(&str, Test); 4] = [
        ("no_request_fails_while_the_configuration_changes", reloads::under_load),
        ("no_request_fails_while_a_daemon_hands_over_to_the_next", upgrades::under_load),
        ("a_successor_that_cannot_start_changes_nothing", upgrades::a_successor_that_cannot_start),
        ("slow_clients_are_ended_in_time_and_hold_nobody_up", slow::hold_nobody_up),
    ];
    let trials = tests.into_iter().map(|(name, test)| trial(name, None, test)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// `small`, or `full` where the full counts are asked for.
fn count(small: usize, full: usize) -> usize {
    if std::env::var_os("SKYSHIELD_FULL").is_some() { full } else { small }
}
