//! `cargo xtask fuzz [TARGET]`: any bytes into each part of inspection, for a while.

use std::path::{Path, PathBuf};
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
    let mut cargo = process::cargo(workspace);
    // Coverage needs flags that a stable compiler only takes when told to. The sanitizer is left out:
    // inspection has no unsafe code, and what it finds are panics and slowness.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", &built).current_dir(&folder);
    cargo.args(["fuzz", "build", "--fuzz-dir", ".", "--sanitizer", "none"]);
    process::run(&mut cargo).context("`cargo install cargo-fuzz` brings what builds the targets")?;
    for target in wanted {
        let corpus = built.join("corpus").join(&target);
        std::fs::create_dir_all(&corpus)?;
        println!("{target}: {} s", arguments.seconds);
        let mut fuzzer = Command::new(program(&built, &target)?);
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

/// Where cargo-fuzz put `target`: in the folder of the compiler's triple.
fn program(built: &Path, target: &str) -> Result<PathBuf> {
    let triples = std::fs::read_dir(built)?.filter_map(Result::ok);
    let program =
        triples.map(|triple| triple.path().join("release").join(target)).find(|path| path.is_file());
    program.with_context(|| format!("{target} was not built"))
}
