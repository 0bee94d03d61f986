//! What is measured and told, before those it is for: Prometheus, `node_exporter`, a mail server, webhooks.
//! Needs Debian's prometheus, prometheus-node-exporter and python3-aiosmtpd.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use tests::requirement::trial;

#[path = "monitor/business.rs"]
mod business;
#[path = "monitor/levels.rs"]
mod levels;
#[path = "monitor/mail.rs"]
mod mail;
#[path = "monitor/peer.rs"]
mod peer;
#[path = "monitor/scrape.rs"]
mod scrape;
#[path = "monitor/sentry.rs"]
mod sentry;
#[path = "monitor/told.rs"]
mod told;
#[path = "monitor/webhook.rs"]
mod webhook;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let prometheus =
        || peer::missing("prometheus", "prometheus").or_else(|| peer::missing("promtool", "prometheus"));
    let exporter = || peer::missing("prometheus-node-exporter", "prometheus-node-exporter");
    let tests: [(&str, Option<String>, Test); 14] = [
        ("prometheus_scrapes_the_page_and_promtool_has_nothing_to_say", prometheus(), scrape::by_prometheus),
        ("node_exporter_agrees_on_names_labels_types_and_values", exporter(), scrape::beside_node_exporter),
        ("a_mail_server_gets_alerts_and_their_end_by_starttls", mail::missing(), mail::alerts_and_their_end),
        ("no_mail_goes_out_in_the_clear_unless_it_is_said", mail::missing(), mail::not_in_the_clear),
        ("one_unknown_receiver_keeps_no_mail_from_the_others", mail::missing(), mail::one_unknown_receiver),
        ("a_webhook_gets_signed_messages_once_it_is_back", None, webhook::signed_and_late),
        (
            "a_storm_of_alerts_sends_no_more_mails_than_it_may_and_the_digest_names_the_rest",
            mail::missing(),
            mail::storm,
        ),
        ("what_other_rooms_have_people_told_of_is_told", None, told::by_other_rooms),
        ("built_in_rules_are_of_metrics_that_are_there", None, told::rules_are_of_metrics_that_are_there),
        ("the_level_of_logs_changes_while_the_daemon_runs", None, told::log_level_changes),
        ("sentry_gets_faults_and_times_and_no_attacks", None, sentry::gets_faults_and_no_attacks),
        ("a_proxys_outcomes_make_service_levels_and_alerts", None, levels::of_what_a_proxy_tells),
        ("no_acknowledged_event_is_lost_to_a_kill_and_none_counts_twice", None, business::survives_a_kill),
        ("requests_that_pass_are_counted_by_rules", tests::nginx::missing(), business::observed),
    ];
    let trials = tests.into_iter().map(|(name, missing, test)| trial(name, missing, test)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
