//! The real daemon between the clients that everybody has (curl, openssl, h2load) and a real nginx.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use tests::nginx;
use tests::requirement::trial;

#[path = "tls/admin.rs"]
mod admin;
#[path = "tls/clients.rs"]
mod clients;
#[path = "tls/guard.rs"]
mod guard;
#[path = "tls/load.rs"]
mod load;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let without = |program: &str, package: &str| {
        nginx::missing()
            .or_else(|| guard::missing("curl", "curl"))
            .or_else(|| guard::missing(program, package))
    };
    let curl = || guard::missing("curl", "curl");
    let tests: [(&str, Option<String>, Test); 9] = [
        ("curl_is_served_in_every_protocol", without("curl", "curl"), clients::every_protocol),
        ("large_bodies_pass_whole_in_every_protocol", without("curl", "curl"), clients::large_bodies),
        ("openssl_agrees_on_what_is_offered", without("openssl", "openssl"), clients::what_is_offered),
        (
            "h2load_gets_every_answer_while_certificates_change",
            without("h2load", "nghttp2-client"),
            load::changes,
        ),
        ("operators_come_to_the_admin_api_by_their_certificates", curl(), admin::by_certificate),
        ("a_revoked_certificate_is_taken_no_more", curl(), admin::takes_nothing_that_was_revoked),
        ("every_command_asks_the_daemon_on_the_host_that_is_named", None, admin::commands_from_another_host),
        (
            "a_configuration_is_replaced_by_whoever_has_seen_the_one_in_force",
            curl(),
            admin::replaces_what_was_seen,
        ),
        ("a_download_is_finished_by_a_daemon_that_stops", without("curl", "curl"), load::stop),
    ];
    let trials = tests.into_iter().map(|(name, missing, test)| trial(name, missing, test)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
