//! `cargo xtask lint`: everything a reviewer should not have to say.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::workspace::{BPF_TARGET, Workspace};
use crate::{process, setup, tidy};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Builds cargo-deny when it is not installed (costly: several minutes); without this, its
    /// step is left out then, and said to be
    #[arg(long)]
    deny: bool,
}

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    setup::for_building(workspace)?;
    let mut report = Report::default();
    report.step("tidy", || match tidy::violations(workspace)? {
        0 => Ok(()),
        count => bail!("{count} found"),
    });
    report.step("fmt", || process::run(process::cargo(workspace).args(["fmt", "--all", "--check"])));
    report.step("clippy (host)", || process::run(&mut clippy_host(workspace)));
    report.step("clippy (bpf)", || process::run(&mut clippy_bpf(workspace)));
    report.step("doc", || process::run(&mut doc(workspace)));
    match deny(workspace, arguments.deny)? {
        Some(mut deny) => report.step("deny", || process::run(&mut deny)),
        None => report.left_out("deny", "cargo-deny is not installed; `cargo xtask lint --deny` builds it"),
    }
    report.print();
    Ok(if report.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn clippy_host(workspace: &Workspace) -> Command {
    let mut cargo = process::cargo(workspace);
    cargo.args([
        "clippy",
        "--quiet",
        "--keep-going",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    cargo
}

/// The kernel side as its own target sees it: most of it does not exist on the host.
fn clippy_bpf(workspace: &Workspace) -> Command {
    let mut cargo = process::cargo(workspace);
    cargo
        .args(["clippy", "--quiet", "--locked", "--package", "skyshield-ebpf", "--profile", "ebpf"])
        .args(["--target", BPF_TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(workspace.target.join("ebpf"))
        .args(["--", "-D", "warnings"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Ctarget-cpu=v3")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if let Some(library) = setup::library(workspace) {
        cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    }
    cargo
}

fn doc(workspace: &Workspace) -> Command {
    let mut cargo = process::cargo(workspace);
    cargo.args(["doc", "--quiet", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    cargo
}

/// Licences, bans and sources of every dependency. Not its advisories: their database is fetched
/// anew each time, and a lint must give one answer with and without a network.
fn deny(workspace: &Workspace, build: bool) -> Result<Option<Command>> {
    let own = workspace.tools().join("bin").join("cargo-deny");
    if build && !own.is_file() {
        setup::cargo_install(workspace, "cargo-deny", &workspace.pinned.cargo_deny)?;
    }
    let program = if own.is_file() { Some(own) } else { process::find("cargo-deny") };
    Ok(program.map(|program| {
        let mut deny = Command::new(program);
        deny.args(["--log-level", "error", "--locked", "check", "bans", "licenses", "sources"])
            .env("CARGO", std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
            .current_dir(&workspace.root);
        deny
    }))
}

/// One line a step, as it ends and once more when all have: nobody scrolls back for them.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    failed: bool,
}

impl Report {
    /// Every step runs, whatever the one before said.
    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        eprintln!("lint: {name}");
        let started = now();
        let outcome = work();
        let took = started.elapsed();
        if let Err(error) = &outcome {
            eprintln!("lint: {name}: {error:#}");
        }
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        self.lines.push(format!("{name:<14} {verdict:<8} {:>6.1} s", took.as_secs_f64()));
        self.failed |= outcome.is_err();
    }

    fn left_out(&mut self, name: &str, why: &str) {
        self.lines.push(format!("{name:<14} left out: {why}"));
    }

    fn print(&self) {
        println!();
        for line in &self.lines {
            println!("{line}");
        }
        println!("lint: {}", if self.failed { "FAILED" } else { "ok" });
    }
}

#[expect(clippy::disallowed_methods, reason = "a command that times its own steps owns its clock")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
