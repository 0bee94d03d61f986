//! The real daemon in front of real nginx upstreams, on 127.0.0.1. Needs Debian's nginx.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use tests::nginx;
use tests::requirement::trial;

#[path = "sites/bodies.rs"]
mod bodies;
#[path = "sites/failing.rs"]
mod failing;
#[path = "sites/hosts.rs"]
mod hosts;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let without = nginx::missing();
    let moving = without.clone().or_else(hosts::moving_missing);
    let tests: [(&str, Option<String>, Test); 6] = [
        ("each_host_has_its_site_and_an_unknown_one_none", without.clone(), hosts::each_has_its_site),
        ("an_upstream_whose_name_moves_is_followed", moving, hosts::a_name_that_moves),
        ("an_upstream_that_dies_costs_no_request", without.clone(), failing::one_dies),
        ("where_all_are_down_it_is_said_at_once", without.clone(), failing::all_are_down),
        ("a_coded_body_is_inspected_and_forwarded_as_it_came", without.clone(), bodies::coded),
        ("a_request_that_may_have_been_acted_on_is_not_sent_again", without, failing::nothing_is_sent_twice),
    ];
    let trials = tests.into_iter().map(|(name, missing, test)| trial(name, missing, test)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
