//! What the gateway forwards, before real servers: each reads it as the gateway meant it. Needs Debian's
//! nginx, `HAProxy` and node.
#![expect(clippy::print_stderr, reason = "a measurement is told beside the verdict on it")]

use std::process::ExitCode;

use libtest_mimic::Arguments;
use tests::requirement::trial;

#[path = "peers/contract.rs"]
mod contract;
#[path = "peers/framing.rs"]
mod framing;
#[path = "peers/servers.rs"]
mod servers;

use servers::Kind;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = [Kind::Nginx, Kind::Haproxy, Kind::Node].map(|kind| {
        let name = format!("{}_reads_every_forwarded_vector_as_it_was_meant", kind.program());
        trial(&name, kind.missing(), move || framing::is_read_alike(kind))
    });
    let contract = trial(
        "every_answer_of_the_admin_api_is_one_that_its_document_says",
        contract::missing(),
        contract::every_answer_is_one_that_the_document_says,
    );
    let typed = trial(
        "a_typed_client_made_of_the_document_understands_every_answer",
        contract::missing(),
        contract::a_typed_client_understands_every_answer,
    );
    let trials = trials.into_iter().chain([typed, contract]).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Says a measured figure beside the test's name.
fn report(line: &str) {
    eprintln!("    {line}");
}
