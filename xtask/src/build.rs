//! `cargo xtask build`: the daemon and the kernel object it carries.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{process, setup};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Optimised, as it is shipped
    #[arg(long)]
    release: bool,
}

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let daemon = daemon(workspace, arguments.release)?;
    println!("{}", daemon.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the daemon and says where it lies. Progress goes to stderr.
pub(crate) fn daemon(workspace: &Workspace, release: bool) -> Result<PathBuf> {
    setup::for_building(workspace)?;
    let mut cargo = process::cargo(workspace);
    cargo.args(["build", "--locked", "--package", "skyshield", "--bin", "skyshield"]);
    if release {
        cargo.arg("--release");
    }
    process::run(&mut cargo)?;
    Ok(workspace.built(release, "skyshield"))
}
