//! `cargo xtask setup`: what building and testing need beside cargo; silent when all is there.

mod debian;
mod linker;
mod rust_src;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::workspace::Workspace;

pub(crate) use self::rust_src::library;

/// Everything that any command needs.
pub(crate) fn everything(workspace: &Workspace) -> Result<()> {
    for_building(workspace)?;
    for_namespaces()
}

/// What the daemon and its kernel object are built with.
pub(crate) fn for_building(workspace: &Workspace) -> Result<()> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    if !Path::new(&compiler).is_file() && process::find(&compiler).is_none() {
        debian_packages("a C compiler (the bundled SQLite is built with it)", &["gcc", "libc6-dev"])?;
    }
    rust_src::ensure(workspace)?;
    linker::ensure(workspace)
}

/// What tests and the demo make network namespaces with.
pub(crate) fn for_namespaces() -> Result<()> {
    if process::find("ip").is_none() {
        debian_packages("`ip` (network namespaces are made with it)", &["iproute2"])?;
    }
    Ok(())
}

/// Builds a tool that cargo can install, under `target/tools`, and leaves only the executable.
pub(crate) fn cargo_install(workspace: &Workspace, tool: &str, version: &str) -> Result<()> {
    let tools = workspace.tools();
    let scratch = tools.join(format!("{tool}-build"));
    let asked =
        ["install", tool, "--version", &format!("={version}"), "--locked", "--quiet"].map(str::to_owned);
    eprintln!("setup: building {tool} {version}, once (some minutes)");
    process::quiet(
        process::cargo(workspace)
            .args(&asked)
            .arg("--root")
            .arg(&tools)
            .arg("--target-dir")
            .arg(&scratch)
            // The flags and wrappers of the workspace's own build are not for a tool.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS"),
    )
    .with_context(|| {
        format!(
            "{tool} {version} could not be built; it comes by `cargo {} --root target/tools`",
            asked.join(" ")
        )
    })?;
    std::fs::remove_dir_all(&scratch).with_context(|| format!("{}: not removed", scratch.display()))
}

/// Installs packages as root on Debian; elsewhere names the command that brings them.
fn debian_packages(what: &str, packages: &[&str]) -> Result<()> {
    let by_hand = format!("apt-get install {}", packages.join(" "));
    if process::find("apt-get").is_none() {
        bail!("{what} is missing; on Debian `{by_hand}` brings it");
    }
    if !process::is_root()? {
        bail!("{what} is missing; `sudo {by_hand}` brings it");
    }
    eprintln!("setup: {by_hand}");
    let install = || {
        process::quiet(
            Command::new("apt-get")
                .args(["install", "--yes", "--no-install-recommends"])
                .args(packages)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    // A fresh image has no package lists: they are asked for only when the first try fails.
    if install().is_err() {
        process::quiet(Command::new("apt-get").arg("update"))
            .and_then(|_| install())
            .with_context(|| format!("{what} is missing; `{by_hand}` brings it"))?;
    }
    Ok(())
}
