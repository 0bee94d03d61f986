//! `cargo xtask fuzz [TARGET]`: any bytes into whatever reads foreign ones, for a while.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;
use crate::{process, setup};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One of those in `tests/fuzz/fuzz_targets`; all of them without it, one after the other
    target: Option<String>,
    /// How long each runs
    #[arg(long, default_value_t = 600)]
    seconds: u32,
}

pub(crate) fn obey(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    setup::for_building(workspace)?;
    let folder = workspace.root.join("tests/fuzz");
    let known = targets(&folder)?;
    let wanted = match &arguments.target {
        Some(target) => {
            ensure!(known.contains(target), "no fuzz target {target}; there are {}", known.join(", "));
            vec![target.clone()]
        }
        None => known,
    };
    let built = workspace.target.join("fuzz");
    build(workspace, &folder, &built)?;
    for target in wanted {
        let corpus = built.join("corpus").join(&target);
        std::fs::create_dir_all(&corpus)?;
        println!("{target}: {} s", arguments.seconds);
        let mut fuzzer = Command::new(built.join(host()?).join("release").join(&target));
        fuzzer.arg(&corpus).arg(format!("-max_total_time={}", arguments.seconds));
        fuzzer.arg("-max_len=4096").arg(format!("-artifact_prefix={}/", built.display()));
        let seeds = folder.join("seeds").join(&target);
        if seeds.is_dir() {
            fuzzer.arg(seeds);
        }
        process::run(&mut fuzzer).with_context(|| format!("{target} found something"))?;
        println!("{target}: nothing found");
    }
    Ok(ExitCode::SUCCESS)
}

/// The names of the targets, in order.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let sources = std::fs::read_dir(folder.join("fuzz_targets")).context("tests/fuzz/fuzz_targets")?;
    let mut names = Vec::new();
    for source in sources {
        let path = source?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        names.extend(name.map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// What libFuzzer needs to see where a run went: which edges were taken, and what was compared with what.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Builds every target with coverage. No sanitizer of memory: what is fuzzed has no unsafe code, and what
/// fuzzers find in it are panics and slowness.
fn build(workspace: &Workspace, folder: &Path, built: &Path) -> Result<()> {
    let mut cargo = process::cargo(workspace);
    cargo.env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", built).current_dir(folder);
    // Said out loud, or build scripts would be watched too.
    cargo.args(["build", "--release", "--target", &host()?]);
    process::run(&mut cargo)
}

/// The compiler's own triple.
fn host() -> Result<String> {
    let told = process::quiet(Command::new("rustc").arg("-vV"))?;
    let line = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("`rustc -vV` names no host")?.to_owned())
}
