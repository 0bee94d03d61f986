//! A BPF file system of our own, so that tests never meet a daemon's pins.

use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

/// A private mount that lives as long as this value, with all that is pinned on it.
#[derive(Debug)]
pub struct Bpffs {
    dir: TempDir,
}

impl Bpffs {
    /// Mounts one.
    pub fn new() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("sky-bpf-").tempdir()?;
        mount(Some("bpf"), dir.path(), Some("bpf"), MsFlags::empty(), Some("mode=0700"))?;
        Ok(Self { dir })
    }

    /// A folder on it for one daemon's pins; not made yet.
    pub fn pin_dir(&self) -> PathBuf {
        self.path().join("skyshield")
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _ = umount2(self.dir.path(), MntFlags::MNT_DETACH);
    }
}
