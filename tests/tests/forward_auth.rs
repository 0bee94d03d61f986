//! Forward-auth behind the real proxies of Debian, by the snippets as they are shipped, and by the
//! documented contracts of the others. Needs Debian's nginx and `HAProxy`; bans in the kernel need a kernel.

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::Arguments;
use tests::nginx;
use tests::requirement::{Requirement, trial};

#[path = "forward_auth/contracts.rs"]
mod contracts;
#[path = "forward_auth/failing.rs"]
mod failing;
#[path = "forward_auth/haproxy.rs"]
mod haproxy;
#[path = "forward_auth/kernel.rs"]
mod kernel;
#[path = "forward_auth/outcomes.rs"]
mod outcomes;
#[path = "forward_auth/stand.rs"]
mod stand;
#[path = "forward_auth/through_nginx.rs"]
mod through_nginx;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let nginx = nginx::missing();
    let haproxy = missing("haproxy", "haproxy");
    let kernel = nginx.clone().or_else(|| Requirement::Kernel.missing());
    let journal = outcomes::journal_missing();
    let tests: [(&str, Option<String>, Test); 13] = [
        (
            "every_attack_without_a_body_is_refused_through_auth_request",
            nginx.clone(),
            through_nginx::attacks_by_auth_request,
        ),
        (
            "every_attack_is_refused_through_nginx_that_sends_requests_whole",
            nginx.clone(),
            through_nginx::attacks_by_accel,
        ),
        ("a_quota_is_told_to_clients_of_nginx", nginx.clone(), through_nginx::quota),
        ("nginx_without_skyshield_does_what_its_snippet_says", nginx.clone(), failing::absent),
        ("without_a_verdict_in_time_it_is_503_or_as_configured_and_never_403", None, failing::too_late),
        ("who_may_not_ask_and_who_asks_wrongly_is_told_or_turned_away", None, failing::wrong_callers),
        ("traefik_envoy_and_caddy_are_answered_by_their_contracts", None, contracts::answered),
        ("haproxy_asks_by_its_lua_action", haproxy, haproxy::asks),
        ("outcomes_in_nginxs_log_are_read_also_where_it_is_rotated", nginx.clone(), outcomes::by_file),
        ("outcomes_by_syslog_and_http_are_read", nginx.clone(), outcomes::by_syslog_and_http),
        ("outcomes_in_the_journal_are_read", journal, outcomes::by_journal),
        (
            "a_client_of_a_proxy_on_this_host_is_banned_in_the_kernel_where_the_operator_says_so",
            kernel,
            kernel::banned,
        ),
        ("doors_go_over_to_a_successor_and_take_up_a_new_configuration", nginx, failing::handed_over),
    ];
    let trials = tests.into_iter().map(|(name, missing, test)| trial(name, missing, test)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn missing(program: &str, package: &str) -> Option<String> {
    let probe = Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_err().then(|| format!("needs {program} (apt-get install {package})"))
}
