//! Benches that are programs of `tests`: built with what they start, and become.

use std::ffi::OsStr;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{process, setup};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The bench's own arguments, such as `--json`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// A bench that is a program of its own.
pub(super) struct Program {
    name: &'static str,
    /// It starts the daemon, by the name that it finds in `SKYSHIELD_BIN`.
    starts_daemon: bool,
    /// What it needs root for; nothing where it does not.
    root_for: Option<&'static str>,
}

const NAMESPACES: &str = "the bench makes network namespaces of its own and loads programs into the kernel";

pub(super) const ADMIN: Program = Program { name: "bench-admin", starts_daemon: true, root_for: None };
pub(super) const BAN: Program =
    Program { name: "bench-ban", starts_daemon: true, root_for: Some(NAMESPACES) };
pub(super) const CONTROL: Program =
    Program { name: "bench-control", starts_daemon: false, root_for: Some(NAMESPACES) };
pub(super) const KERNEL: Program =
    Program { name: "bench-kernel", starts_daemon: false, root_for: Some(NAMESPACES) };
pub(super) const KNOWLEDGE: Program =
    Program { name: "bench-knowledge", starts_daemon: true, root_for: Some(NAMESPACES) };
pub(super) const MONITOR: Program = Program {
    name: "bench-monitor",
    starts_daemon: true,
    root_for: Some("the bench mounts disks of its own that refuse"),
};
pub(super) const TAP: Program =
    Program { name: "bench-tap", starts_daemon: true, root_for: Some(NAMESPACES) };

impl Program {
    /// Builds it in release, and becomes it.
    pub(super) fn obey(&self, workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
        self.build(workspace)?;
        self.start(workspace, &[], arguments)
    }

    /// Builds it in release, and the daemon where it starts that.
    pub(super) fn build(&self, workspace: &Workspace) -> Result<()> {
        setup::for_building(workspace)?;
        if self.root_for.is_some() {
            setup::for_namespaces()?;
        }
        let mut cargo = process::cargo(workspace);
        cargo.args(["build", "--locked", "--release", "--package", "tests", "--bin", self.name]);
        if self.starts_daemon {
            cargo.args(["--package", "skyshield", "--bin", "skyshield"]);
        }
        process::run(&mut cargo)
    }

    /// Becomes it, with `variables` in its environment.
    pub(super) fn start(
        &self,
        workspace: &Workspace,
        variables: &[(&str, &OsStr)],
        Arguments { arguments }: &Arguments,
    ) -> Result<ExitCode> {
        let (program, daemon) = (workspace.built(true, self.name), workspace.built(true, "skyshield"));
        let mut variables = variables.to_vec();
        if self.starts_daemon {
            variables.push(("SKYSHIELD_BIN", daemon.as_os_str()));
        }
        match self.root_for {
            Some(why) => match process::become_root(&program, &variables, arguments, why)? {},
            None => match process::become_it(Command::new(program).args(arguments).envs(variables))? {},
        }
    }
}
