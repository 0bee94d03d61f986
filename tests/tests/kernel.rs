//! Tests that need a kernel: rows of packets through the loaded program, then the wire.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use tests::requirement::{Requirement, trial};

#[path = "kernel/adversary.rs"]
mod adversary;
#[path = "kernel/bench.rs"]
mod bench;
#[path = "kernel/checked.rs"]
mod checked;
#[path = "kernel/clearance.rs"]
mod clearance;
#[path = "kernel/cookies.rs"]
mod cookies;
#[path = "kernel/drawn.rs"]
mod drawn;
#[path = "kernel/hosts_v6.rs"]
mod hosts_v6;
#[path = "kernel/in_force.rs"]
mod in_force;
#[path = "kernel/interfaces.rs"]
mod interfaces;
#[path = "kernel/lifecycle.rs"]
mod lifecycle;
#[path = "kernel/limits.rs"]
mod limits;
#[path = "kernel/lists.rs"]
mod lists;
#[path = "kernel/loader.rs"]
mod loader;
#[path = "kernel/networks.rs"]
mod networks;
#[path = "kernel/object.rs"]
mod object;
#[path = "kernel/odd.rs"]
mod odd;
#[path = "kernel/places.rs"]
mod places;
#[path = "kernel/policies.rs"]
mod policies;
#[path = "kernel/prefixes.rs"]
mod prefixes;
#[path = "kernel/rate.rs"]
mod rate;
#[path = "kernel/reference.rs"]
mod reference;
#[path = "kernel/refusals.rs"]
mod refusals;
#[path = "kernel/roster.rs"]
mod roster;
#[path = "kernel/rows.rs"]
mod rows;
#[path = "kernel/seen.rs"]
mod seen;
#[path = "kernel/starts.rs"]
mod starts;
#[path = "kernel/stash.rs"]
mod stash;
#[path = "kernel/table.rs"]
mod table;
#[path = "kernel/tap.rs"]
mod tap;
#[path = "kernel/unsaid.rs"]
mod unsaid;
#[path = "kernel/versions.rs"]
mod versions;
#[path = "kernel/wire.rs"]
mod wire;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    // The tests start this program again as the daemon that they kill.
    if let Some(exit) = loader::if_asked() {
        return exit;
    }
    let mut arguments = Arguments::from_args();
    // Rates are measured: one at a time.
    arguments.test_threads = Some(1);

    let plain: [(&str, Test); 4] = [
        ("rows_agree_with_the_reference_in_plain_rust", reference::rows),
        ("object_carries_exactly_the_maps_that_common_names", object::maps),
        ("object_is_licensed_and_takes_frames_in_several_buffers", object::sections),
        ("object_fits_into_the_stack_of_every_kernel", object::stacks),
    ];
    let kernel: &[(&str, Test)] = &[
        ("decisions_of_an_adversary_leave_ledger_store_and_kernel_at_one", adversary::beset),
        ("rows_have_their_verdict_and_their_reason", rows::verdicts),
        ("rows_cut_short_at_every_length_are_counted_once", reference::truncated),
        ("rows_of_frames_drawn_by_lot_agree_with_the_reference", reference::random),
        ("rows_among_nested_bans_agree_with_the_model", reference::nested),
        ("rows_of_a_prefix_ban_outlive_an_inner_one", rows::nested_prefixes),
        ("ring_buffer_full_harms_nothing", limits::full_ring),
        ("full_map_is_an_error_and_evicts_nothing", limits::full_maps),
        ("spoofed_sources_leave_every_ban_in_force", limits::spoofed),
        ("list_replaced_under_a_flood_leaks_nothing", || lists::replaced(lists::LISTED)),
        ("list_with_a_roster_replaced_under_a_flood_leaks_nothing", || lists::replaced(roster::LISTED)),
        ("bans_of_every_width_hold_what_is_in_them", prefixes::widths),
        ("list_of_prefixes_holds_what_is_on_it", prefixes::agree),
        ("list_of_prefixes_replaced_under_a_flood_leaks_nothing", prefixes::replaced),
        ("places_are_banned_limited_or_watched_by_prefix", places::decided),
        ("places_agree_with_their_prefixes", places::agree),
        ("places_replaced_under_a_flood_leak_nothing", places::replaced),
        ("list_beyond_its_buckets_is_in_the_stash_or_refused", stash::stashed),
        ("ban_that_fits_nowhere_leaves_nothing_behind", stash::refused_whole),
        ("list_and_ban_in_turn_leave_nothing_unsaid", stash::told_again),
        ("roster_says_what_the_table_says", roster::agree),
        ("roster_that_was_lost_or_is_wrong_is_mended", roster::mended),
        ("hosts_v6_are_banned_whatever_comes_and_goes", hosts_v6::agree),
        ("hosts_v6_of_one_bucket_are_not_taken_for_each_other", hosts_v6::raced),
        ("clearance_ends_with_whatever_is_said_against_its_source", clearance::ended),
        ("clearance_is_kept_beside_a_flood_and_only_of_plain_sources", clearance::kept),
        ("clearance_ends_under_a_flood_of_its_source", clearance::raced),
        ("rate_of_one_source_is_its_own", lists::shaped),
        ("rate_that_has_no_cell_holds_up_nobody", limits::untracked),
        ("seen_who_sends_most", seen::senders),
        ("seen_what_each_ban_has_met", seen::hits),
        ("seen_rules_of_the_configuration_and_what_they_met", seen::rules),
        ("events_tell_of_drops", limits::events),
        ("events_tell_of_frames_that_name_no_source", limits::unreadable),
        ("wire_ban_drops_and_counts_exactly", wire::ban),
        ("wire_allow_list_beats_a_ban", wire::allow),
        ("wire_ban_ends_with_the_loader_dead", wire::expiry),
        ("wire_silent_daemon_is_missed_where_configured", wire::silence),
        ("restart_adopts_link_and_maps_and_leaks_nothing", lifecycle::restart),
        ("interface_gone_and_back_is_guarded_again", lifecycle::comes_back),
        ("interfaces_are_guarded_alike_and_counted_apart", interfaces::counted_apart),
        ("interfaces_come_and_go_each_alone", interfaces::come_and_go),
        ("interface_no_longer_configured_is_let_go", interfaces::no_longer_configured),
        ("version_upgraded_keeps_every_ban_and_leaks_nothing", versions::upgraded),
        ("version_downgraded_keeps_every_ban_and_leaks_nothing", versions::downgraded),
        ("version_with_less_room_keeps_what_fits", versions::without_room),
        ("version_that_fails_half_way_keeps_its_maps", versions::half_way),
        ("start_that_fails_changes_nothing_and_one_that_succeeds_ends_a_bypass", starts::over_a_bypass),
        ("write_that_the_kernel_refuses_does_not_come_with_the_next", unsaid::forgotten),
        ("cookies_let_honest_clients_connect_in_a_flood", cookies::connect),
        ("cookies_are_given_by_both_families", cookies::both_families),
        ("cookies_and_the_tap_do_not_disturb_each_other", cookies::beside_the_tap),
        ("cookies_that_are_forged_end_in_the_program", checked::flood),
        ("cookies_are_checked_of_nobody_who_is_spared", checked::spared),
        ("cookies_let_in_what_follows_them_at_once", checked::followed),
        ("cookies_are_checked_in_a_dry_run_and_none_given", checked::rehearsed),
        ("cookies_are_not_asked_of_what_is_sent_on", checked::sent_on),
        ("cookies_end_with_the_flood", cookies::disarm),
        ("cookies_are_refused_where_the_stack_takes_none", cookies::refused),
        ("tap_copies_what_a_connection_carries", tap::copies),
        ("tap_copies_what_a_rule_asks_for", tap::ruled),
        ("tap_believes_no_segment_of_a_spoofer", tap::spoofed),
        ("tap_without_a_reader_harms_nothing_and_counts_what_it_loses", tap::lost),
        ("another_owner_is_named_and_left_alone", refusals::other_owner),
        ("another_owner_by_netlink_is_named_and_left_alone", refusals::netlink_owner),
        ("missing_interface_and_wrong_folder_are_named", refusals::named),
        ("missing_capabilities_are_named_and_those_suffice", refusals::capabilities),
        ("driver_without_xdp_is_guarded_behind_it", refusals::no_driver),
        ("file_system_for_pins_is_mounted_where_it_is_not", refusals::mounts),
        ("pinned_state_is_read_and_detached_with_the_daemon_dead", lifecycle::detach),
        ("jumbo_frames_do_not_keep_the_program_from_the_driver", lifecycle::jumbo),
        ("verifier_walks_little", lifecycle::verified),
        ("rate_is_exact_under_two_cpus", rate::exact),
        ("rate_above_the_clock_s_tick_is_exact_under_two_cpus", rate::fast),
        ("rate_holds_more_sources_than_have_room_in_front", rate::many),
        ("rate_holds_two_sources_that_take_turns_at_one_home", rate::turns),
        ("rate_holds_one_v4_source_from_two_threads", rate::v4),
        ("rate_holds_one_v6_network_from_two_addresses", rate::v6),
    ];
    let missing = Requirement::Kernel.missing();
    let mut trials = Vec::new();
    trials.extend(plain.map(|(name, test)| trial(name, None, test)));
    trials.extend(kernel.iter().map(|&(name, test)| trial(name, missing.clone(), test)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Says a measured figure beside the test's name.
fn report(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "    {line}");
}
