//! Disks that refuse: one that is full, one whose writes take as long as it likes.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

enum Kind {
    /// In memory, of few megabytes.
    Small,
    /// A file system in a file, which can be frozen.
    Freezable,
}

/// A disk of its own, gone with this.
pub(super) struct Disk {
    dir: TempDir,
    kind: Kind,
    refuses: bool,
}

impl Disk {
    /// One that is soon full.
    pub(super) fn small() -> Result<Self> {
        let dir = folder()?;
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs"]).arg(dir.path()))?;
        Ok(Self { dir, kind: Kind::Small, refuses: false })
    }

    /// One that can be frozen.
    pub(super) fn freezable() -> Result<Self> {
        let (dir, image) = (folder()?, tempfile::NamedTempFile::new()?);
        File::set_len(image.as_file(), 128 << 20)?;
        run(Command::new("mkfs.ext4").arg("-q").arg(image.path()))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(image.path()).arg(dir.path()))?;
        Ok(Self { dir, kind: Kind::Freezable, refuses: false })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// From here on it takes nothing.
    pub(super) fn refuse(&mut self) -> Result<()> {
        self.refuses = true;
        match self.kind {
            Kind::Small => {
                // What is left of it goes to somebody else; that this fails is what it is for.
                let _full = fs::write(self.path().join("filler"), vec![0; 16 << 20]);
                Ok(())
            }
            Kind::Freezable => run(Command::new("fsfreeze").arg("--freeze").arg(self.path())),
        }
    }

    /// From here on it takes everything again.
    pub(super) fn relent(&mut self) -> Result<()> {
        self.refuses = false;
        match self.kind {
            Kind::Small => Ok(fs::remove_file(self.path().join("filler"))?),
            Kind::Freezable => run(Command::new("fsfreeze").arg("--unfreeze").arg(self.path())),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.refuses {
            // A frozen one could not be unmounted.
            let _best = self.relent();
        }
        let _gone = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("sky-disk-").tempdir()?)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    ensure!(status.with_context(|| format!("{command:?}"))?.success(), "{command:?} has failed");
    Ok(())
}
