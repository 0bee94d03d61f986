//! `cargo xtask bench admin`: builds the daemon and the bench of its admin API, and becomes that.

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{process, setup};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The bench's own arguments, such as `--json`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    setup::for_building(workspace)?;
    let mut cargo = process::cargo(workspace);
    cargo.args(["build", "--locked", "--release", "--package", "skyshield", "--package", "tests"]);
    cargo.args(["--bin", "skyshield", "--bin", "bench-admin"]);
    process::run(&mut cargo)?;
    let mut bench = std::process::Command::new(workspace.built(true, "bench-admin"));
    bench.args(&arguments.arguments).env("SKYSHIELD_BIN", workspace.built(true, "skyshield"));
    process::run(&mut bench)?;
    Ok(ExitCode::SUCCESS)
}
