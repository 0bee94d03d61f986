//! The BPF file system: there or mounted, and one daemon to a folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::error::OpenError;

/// Where the BPF file system belongs.
const MOUNT_POINT: &str = "/sys/fs/bpf";

/// A folder for pins that this process alone works with. The lock ends with the process, however
/// that ends.
#[derive(Debug)]
pub(super) struct PinDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl PinDir {
    /// Makes and locks the folder, mounting the file system where it belongs if it is not.
    pub(super) fn claim(path: &Path) -> Result<Self, OpenError> {
        if path.starts_with(MOUNT_POINT) && !is_bpffs(Path::new(MOUNT_POINT)) {
            mount_bpffs()?;
        }
        // Nothing is made on a file system that cannot hold it.
        let exists = path.ancestors().find(|above| above.exists()).unwrap_or(path);
        if !is_bpffs(exists) {
            return Err(OpenError::NotBpffs { pin_dir: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(file(path))?;
        let folder = File::open(path).map_err(file(path))?;
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err((_, Errno::EWOULDBLOCK)) => Err(OpenError::InUse { pin_dir: path.to_owned() }),
            Err((_, errno)) => Err(file(path)(errno.into())),
        }
    }

    /// Whether nothing is pinned here.
    pub(super) fn is_empty(&self) -> Result<bool, OpenError> {
        let mut files = fs::read_dir(&self.path).map_err(file(&self.path))?;
        Ok(files.next().is_none())
    }

    /// Removes the folder with all that is pinned in it.
    pub(super) fn clear(self) -> Result<(), OpenError> {
        fs::remove_dir_all(&self.path).map_err(file(&self.path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

pub(super) fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
}

fn mount_bpffs() -> Result<(), OpenError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("bpf"), MOUNT_POINT, Some("bpf"), flags, Some("mode=0700"))
        .map_err(|errno| OpenError::Mount { at: PathBuf::from(MOUNT_POINT), source: errno.into() })
}

/// Names the file an error is about.
pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::File { path: path.to_owned(), source }
}
