//! The whole road, with the real daemon in namespaces: from an attack over HTTP to a dropped packet.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use tests::requirement::{Requirement, trial};

#[path = "road/acknowledged.rs"]
mod acknowledged;
#[path = "road/attack.rs"]
mod attack;
#[path = "road/bad_start.rs"]
mod bad_start;
#[path = "road/bypassed.rs"]
mod bypassed;
#[path = "road/interfaces.rs"]
mod interfaces;
#[path = "road/kill.rs"]
mod kill;
#[path = "road/listed.rs"]
mod listed;
#[path = "road/operator.rs"]
mod operator;
#[path = "road/shaped.rs"]
mod shaped;
#[path = "road/trial.rs"]
mod trial;
#[path = "road/tuned.rs"]
mod tuned;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each has a machine of three hosts to itself, and two cores to share.
    arguments.test_threads = Some(1);
    let missing = Requirement::Kernel.missing();
    let tests: [(&str, Test); 19] = [
        ("an_attack_over_http_ends_as_a_dropped_packet", attack::ends_as_a_dropped_packet),
        ("every_attack_is_refused_and_every_honest_request_answered", attack::all_of_both),
        ("a_ban_known_by_a_proxys_word_leaves_the_proxy_alone", attack::by_a_trusted_proxy),
        ("fifty_kills_in_mid_attack_let_no_banned_packet_through", kill::fifty_times),
        ("an_interface_that_comes_back_is_guarded_within_a_second", interfaces::come_back),
        ("what_is_listed_or_placed_is_dropped_and_outlives_the_daemon", listed::and_placed),
        ("a_suspect_is_slowed_down_in_the_kernel_and_let_go_again", shaped::and_let_go),
        ("a_guesser_of_passwords_ends_banned", shaped::guesser_ends_banned),
        ("an_operator_bans_looks_and_lifts", operator::bans_looks_and_lifts),
        ("status_and_detach_work_with_the_daemon_dead", operator::with_the_daemon_dead),
        ("nobody_locks_himself_out", operator::nobody_locks_himself_out),
        ("a_configuration_on_trial_is_rolled_back_or_kept", trial::is_rolled_back_or_kept),
        ("rates_and_rules_are_taken_up_by_a_reload_and_go_back_with_a_trial", tuned::by_a_reload),
        ("flows_that_were_not_counted_from_the_start_on_need_a_restart", tuned::but_no_table_of_flows),
        ("a_bypass_lets_a_banned_source_through_until_it_ends", bypassed::lets_a_banned_source_through),
        ("a_bypass_needs_no_daemon_to_begin_and_none_to_end", bypassed::without_the_daemon),
        ("no_acknowledged_decision_is_lost_to_a_kill", acknowledged::decisions_survive_kills),
        ("a_start_that_fails_says_why_and_attaches_nothing", bad_start::attaches_nothing),
        ("another_owner_of_the_interface_is_named_and_left_alone", bad_start::another_owner),
    ];
    let trials = tests.into_iter().map(|(name, test)| trial(name, missing.clone(), test)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Says a measured figure beside the test's name.
fn report(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "    {line}");
}
