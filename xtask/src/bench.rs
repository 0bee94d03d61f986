//! `cargo xtask bench <what>`: measures, and says what was measured.

mod inspect;

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::Workspace;

#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// CPU time of inspection alone, beside libmodsecurity with Debian's CRS where it is installed
    Inspect(inspect::Arguments),
}

pub(crate) fn obey(workspace: &Workspace, bench: &Bench) -> Result<ExitCode> {
    match bench {
        Bench::Inspect(arguments) => inspect::obey(workspace, arguments),
    }
}
