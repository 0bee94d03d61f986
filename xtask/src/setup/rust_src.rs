//! The source of `core`, which is compiled anew for the BPF target.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::debian;
use crate::process;
use crate::workspace::Workspace;

/// Set to `debian` to try the last road although an earlier one is open.
const FORCE: &str = "SKYSHIELD_SETUP_RUST_SRC";

/// The compiler in use: `release` is its version, such as `1.95.0`.
struct Rustc {
    release: String,
    sysroot: PathBuf,
}

/// Makes sure that the sysroot or `target/tools/rust-src` holds the source of this very release.
pub(super) fn ensure(workspace: &Workspace) -> Result<()> {
    let rustc = ask_rustc(workspace)?;
    let folder = workspace.tools().join("rust-src");
    let held = std::fs::read_to_string(folder.join("release")).ok();
    if held.as_deref() == Some(&rustc.release) && is_library(&folder.join("library")) {
        return Ok(());
    }
    if folder.exists() {
        // Of another release, or half unpacked: the build must not find it.
        std::fs::remove_dir_all(&folder).with_context(|| format!("{}: not removed", folder.display()))?;
    }

    let debian_only = std::env::var_os(FORCE).is_some_and(|road| road == "debian");
    if !debian_only && (in_sysroot(&rustc) || by_rustup(workspace, &rustc)) {
        return Ok(());
    }
    debian::unpack_rust_src(&workspace.tools(), &rustc.release, &folder).with_context(|| {
        format!(
            "the source of Rust's library {} is missing (rust-src); `rustup component add rust-src` brings it",
            rustc.release
        )
    })?;
    std::fs::write(folder.join("release"), &rustc.release)
        .with_context(|| format!("{}: not writable", folder.display()))
}

/// The library that stands in for the sysroot's, where setup had to bring one.
pub(crate) fn library(workspace: &Workspace) -> Option<PathBuf> {
    let library = workspace.tools().join("rust-src").join("library");
    is_library(&library).then_some(library)
}

fn ask_rustc(workspace: &Workspace) -> Result<Rustc> {
    let ask = |arguments: &[&str]| {
        process::quiet(Command::new("rustc").args(arguments).current_dir(&workspace.root))
    };
    let release = ask(&["--version", "--verbose"])?
        .lines()
        .find_map(|line| line.strip_prefix("release: ").map(str::to_owned))
        .context("`rustc --version --verbose` names no release")?;
    let sysroot = ask(&["--print", "sysroot"])?.trim_end().into();
    Ok(Rustc { release, sysroot })
}

fn in_sysroot(rustc: &Rustc) -> bool {
    is_library(&rustc.sysroot.join("lib/rustlib/src/rust/library"))
}

fn by_rustup(workspace: &Workspace, rustc: &Rustc) -> bool {
    if process::find("rustup").is_none() {
        return false;
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", "rust-src"]).current_dir(&workspace.root);
    eprintln!("setup: {}", process::told(&rustup));
    match process::quiet(&mut rustup) {
        Ok(_) => in_sysroot(rustc),
        Err(error) => {
            eprintln!("setup: {error:#}");
            false
        }
    }
}

/// Cargo wants the lock file beside the sources.
fn is_library(folder: &Path) -> bool {
    folder.join("Cargo.lock").is_file() && folder.join("core/Cargo.toml").is_file()
}
