//! `cargo xtask run`: builds the daemon and becomes it.

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{build, process};

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// The daemon's own arguments, such as `run --config …` or `status --json`; `--release` before
    /// them builds it as it is shipped
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let (release, rest) = match arguments.arguments.split_first() {
        Some((first, rest)) if first == "--release" => (true, rest),
        Some(_) | None => (false, arguments.arguments.as_slice()),
    };
    let daemon = build::daemon(workspace, release)?;
    match process::become_root(&daemon, &[], rest, "the daemon loads a program into the kernel")? {}
}
