//! `cargo xtask bench`: how fast, beside what it replaces.

mod gateway;

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::Workspace;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The gateway beside Debian's nginx, with wrk, in interleaved rounds
    Gateway(gateway::Arguments),
}

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.what {
        What::Gateway(arguments) => gateway::obey(workspace, arguments),
    }
}
