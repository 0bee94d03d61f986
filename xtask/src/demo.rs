//! `cargo xtask demo`: builds the daemon and the demo, and becomes the demo.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use crate::{process, setup};

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// The demo's own arguments: `--seconds N` ends it by itself, `--json` ends with one JSON
    /// object on stdout's last line, `--help` lists the rest
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    if !workspace.root.join("tests/src/bin/demo.rs").exists() {
        bail!("tests/src/bin/demo.rs is missing: there is no demo to show");
    }
    setup::for_building(workspace)?;
    setup::for_namespaces()?;
    let mut cargo = process::cargo(workspace);
    cargo.args(["build", "--locked", "--release", "--package", "skyshield", "--package", "tests"]);
    cargo.args(["--bin", "demo", "--bin", "skyshield"]);
    process::run(&mut cargo)?;

    let daemon = workspace.built(true, "skyshield");
    match process::become_root(
        &workspace.built(true, "demo"),
        &[("SKYSHIELD_BIN", daemon.as_os_str())],
        &arguments.arguments,
        "the demo makes network namespaces of its own and loads a program into the kernel",
    )? {}
}
