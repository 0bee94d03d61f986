//! Every framing vector before the real daemon: refused as the standard has it, with an incident id and
//! a count, or forwarded so that it can be read in one way only. Needs nothing but a loopback interface.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use libtest_mimic::Arguments;
use tests::framing::run::Run;
use tests::framing::{Expected, Vector, vectors};
use tests::requirement::trial;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("every_vector_is_refused_in_form_or_forwarded_in_one_framing", None, whole),
        trial("what_is_streamed_is_forwarded_in_one_framing_or_broken_off", None, streamed),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn whole() -> Result<()> {
    hold("", &vectors())
}

/// Bodies that are passed on while they come: a chunk found to be malformed then has no end upstream.
fn streamed() -> Result<()> {
    let mut all = vectors();
    all.retain(|vector| vector.expected != Expected::Refused(413));
    hold("body_over_limit = \"pass-and-count\"\n[gateway.limits]\ninspected_body_bytes = 0\n", &all)
}

fn hold(gateway: &str, vectors: &[Vector]) -> Result<()> {
    let mut run = Run::start(gateway)?;
    let mut wrong = Vec::new();
    for vector in vectors {
        if let Err(error) = run.hold(vector) {
            wrong.push(format!("{}: expected {:?}, and {error:#}", vector.name, vector.expected));
        }
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
    Ok(())
}
