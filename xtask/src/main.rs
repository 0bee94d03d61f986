//! SkyShield's own commands: `cargo xtask <command>`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what these commands print is their product: results on stdout, progress on stderr"
)]

mod bench;
mod build;
mod demo;
mod fuzz;
mod lint;
mod process;
mod run;
mod setup;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, checks, tests and shows SkyShield.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings what building needs (bpf-linker, rust-src, a C compiler, ip); silent when all is there
    Setup,
    /// Builds the daemon, and with it the kernel object it carries
    Build(build::Arguments),
    /// Builds the daemon and becomes it, through sudo when not root
    Run(run::Arguments),
    /// fmt, clippy for the host and for bpf, docs, cargo deny, tidy
    Lint(lint::Arguments),
    /// Checks the rules of the house that no other tool knows
    Tidy,
    /// Runs the tests, by what they need, and counts them
    Test(test::Arguments),
    /// Measures, beside what it replaces
    Bench(bench::Arguments),
    /// Throws any bytes at each part of inspection, for a while
    Fuzz(fuzz::Arguments),
    /// Shows an attack over HTTP end as a dropped packet in the kernel
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match obey(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn obey(command: Command) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::find()?;
    match command {
        Command::Setup => setup::everything(&workspace).map(|()| ExitCode::SUCCESS),
        Command::Build(arguments) => build::obey(&workspace, &arguments),
        Command::Run(arguments) => run::obey(&workspace, &arguments),
        Command::Lint(arguments) => lint::obey(&workspace, &arguments),
        Command::Tidy => tidy::obey(&workspace),
        Command::Test(arguments) => test::obey(&workspace, &arguments),
        Command::Bench(arguments) => bench::obey(&workspace, &arguments),
        Command::Fuzz(arguments) => fuzz::obey(&workspace, &arguments),
        Command::Demo(arguments) => demo::obey(&workspace, &arguments),
    }
}
