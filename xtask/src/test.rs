//! `cargo xtask test`: the tests by what they need, and one count of them all.

mod count;
mod groups;

use std::io::{BufRead as _, BufReader};
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result};

use self::count::Count;
use self::groups::Group;
use crate::workspace::Workspace;
use crate::{build, process, setup};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which of them; all that exist when none is named
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// Runs only tests whose name contains this
    #[arg(long)]
    only: Option<String>,
}

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let targets = groups::existing(&workspace.root)?;
    let asked = if arguments.groups.is_empty() { Group::ALL } else { &arguments.groups };
    let daemon = build::daemon(workspace, false)?;

    let mut counts = Vec::new();
    for group in Group::ALL.iter().filter(|group| asked.contains(group)) {
        let runs = group.runs(&targets);
        if runs.is_empty() {
            eprintln!("test: {} has no tests yet", group.name());
            continue;
        }
        if group.makes_namespaces() {
            setup::for_namespaces()?;
        }
        let mut count = Count::default();
        for run in runs {
            let mut cargo = process::cargo(workspace);
            // Without `--no-fail-fast` one red crate hides how the others fare.
            cargo.args(["test", "--locked", "--no-fail-fast"]).args(&run).env("SKYSHIELD_BIN", &daemon);
            if let Some(only) = &arguments.only {
                cargo.args(["--", only]);
            }
            follow(&mut cargo, &mut count)?;
        }
        counts.push((group.name(), count));
    }
    print!("{}", count::summary(&counts));
    let failed = counts.iter().any(|(_, count)| count.is_red());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs cargo, passes on what it says but for the tests that passed, and counts.
fn follow(cargo: &mut std::process::Command, count: &mut Count) -> Result<()> {
    eprintln!("test: {}", process::told(cargo));
    let mut child =
        cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cargo did not start")?;
    let output = child.stdout.take().context("cargo's output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cargo's output")?;
        let line = String::from_utf8_lossy(&line);
        if count.see(&line) {
            println!("{line}");
        }
    }
    let status = child.wait().context("cargo was lost")?;
    count.ended(status.success());
    Ok(())
}
