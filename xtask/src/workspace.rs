//! Where the workspace lies and which versions it pins.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The eBPF target, as `skyshield/build.rs` builds it.
pub(crate) const BPF_TARGET: &str = "bpfel-unknown-none";

/// The folders every command works in, and the pinned tools.
pub(crate) struct Workspace {
    /// Holds the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// `[workspace.metadata.toolchain]`.
    pub(crate) pinned: Pinned,
}

/// Versions of what is built beside rustup's toolchain.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Pinned {
    pub(crate) bpf_linker: String,
    pub(crate) cargo_deny: String,
}

impl Workspace {
    /// The workspace this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask's folder has no parent")?
            .to_path_buf();
        let target = target_of(&std::env::current_exe().context("where is this program?")?)
            .context("this program does not lie in a target folder: start it as `cargo xtask`")?;
        let manifest = root.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest)
            .with_context(|| format!("{}: not readable", manifest.display()))?;
        let pinned = pinned(&text)
            .with_context(|| format!("{}: [workspace.metadata.toolchain]", manifest.display()))?;
        Ok(Self { root, target, pinned })
    }

    /// Where setup puts its tools.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// An executable that cargo built.
    pub(crate) fn built(&self, release: bool, name: &str) -> PathBuf {
        self.target.join(if release { "release" } else { "debug" }).join(name)
    }
}

/// The same rule as `skyshield/build.rs`: both must come to one folder.
fn target_of(program: &Path) -> Option<PathBuf> {
    program
        .ancestors()
        .find(|above| {
            above.join("CACHEDIR.TAG").exists() || above.file_name().is_some_and(|name| name == "target")
        })
        .map(Path::to_path_buf)
}

fn pinned(manifest: &str) -> Result<Pinned> {
    let manifest = toml::Value::Table(manifest.parse()?);
    let toolchain = ["workspace", "metadata", "toolchain"]
        .into_iter()
        .try_fold(&manifest, |table, key| table.get(key))
        .cloned()
        .context("is missing")?;
    Ok(toolchain.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pins_are_read_from_the_workspace_manifest() {
        let pinned =
            pinned("[workspace.metadata.toolchain]\nbpf-linker = \"1.2.3\"\ncargo-deny = \"4.5.6\"").unwrap();
        assert_eq!((pinned.bpf_linker.as_str(), pinned.cargo_deny.as_str()), ("1.2.3", "4.5.6"));
    }

    #[test]
    fn a_missing_pin_is_named() {
        let error = pinned("[workspace.metadata.toolchain]\ncargo-deny = \"1\"").err().unwrap();
        assert!(error.to_string().contains("bpf-linker"), "{error}");
    }
}
