//! `bpf-linker`, which makes one BPF object of what rustc compiled.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// Builds the pinned bpf-linker into `target/tools` unless it is there. Its default feature opens
/// the LLVM that rustc itself carries: no LLVM of the system is needed.
pub(super) fn ensure(workspace: &Workspace) -> Result<()> {
    let wanted = &workspace.pinned.bpf_linker;
    if version(workspace).as_deref() == Some(wanted) {
        return Ok(());
    }
    super::cargo_install(workspace, "bpf-linker", wanted)?;
    match version(workspace) {
        Some(version) if &version == wanted => Ok(()),
        Some(other) => bail!("bpf-linker {wanted} was built, but it calls itself {other}"),
        None => bail!("bpf-linker {wanted} was built, but does not start"),
    }
}

/// What the linker in place calls itself.
fn version(workspace: &Workspace) -> Option<String> {
    let linker = workspace.tools().join("bin").join("bpf-linker");
    let told = process::quiet(Command::new(linker).arg("--version")).ok()?;
    told.split_whitespace().last().map(str::to_owned)
}
