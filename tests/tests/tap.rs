//! The tap, with the real daemon and real nginx in namespaces: what is said to a web server that nobody
//! has changed, from the wire to the ban.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use tests::nginx;
use tests::requirement::{Requirement, trial};

#[path = "tap/attacks.rs"]
mod attacks;
#[path = "tap/bounds.rs"]
mod bounds;
#[path = "tap/games.rs"]
mod games;
#[path = "tap/place.rs"]
mod place;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each has a machine of three hosts to itself, and two cores to share.
    arguments.test_threads = Some(1);
    let missing = Requirement::Kernel.missing().or_else(nginx::missing);
    let tests: [(&str, Test); 6] = [
        ("every_attack_is_seen_with_the_rule_and_the_score_of_the_gateway", attacks::as_at_the_gateway),
        ("every_game_with_segments_is_seen_through_or_counted", games::played),
        ("tls_on_a_tapped_port_is_said", attacks::tls),
        ("a_spoofer_gets_nobody_banned", games::spoofed),
        ("with_the_reader_stopped_the_server_serves_and_what_is_lost_is_counted", bounds::stopped),
        ("connections_without_end_cost_no_memory_without_end", bounds::without_end),
    ];
    let trials = tests.into_iter().map(|(name, test)| trial(name, missing.clone(), test)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Says a measured figure beside the test's name.
fn report(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "    {line}");
}
