//! `cargo xtask bench monitor`: builds the daemon and the bench of what is measured and told of, and becomes it.

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
    setup::for_namespaces()?;
    let mut cargo = process::cargo(workspace);
    cargo.args(["build", "--locked", "--release", "--package", "tests", "--bin", "bench-monitor"]);
    cargo.args(["--package", "skyshield", "--bin", "skyshield"]);
    process::run(&mut cargo)?;
    let daemon = workspace.built(true, "skyshield");
    match process::become_root(
        &workspace.built(true, "bench-monitor"),
        &[("SKYSHIELD_BIN", daemon.as_os_str())],
        &arguments.arguments,
        "the bench mounts disks of its own that refuse",
    )? {}
}
