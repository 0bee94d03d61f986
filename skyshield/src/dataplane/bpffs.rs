//! The BPF file system: there or mounted, and one daemon to a folder.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use skyshield_common::maps as names;

use super::error::OpenError;

/// Where the BPF file system belongs.
const MOUNT_POINT: &str = "/sys/fs/bpf";

/// The folder of maps of the layout that this build knows.
pub(super) fn schema_dir(pin_dir: &Path) -> PathBuf {
    pin_dir.join(format!("v{}", names::SCHEMA))
}

/// A folder for pins that this process alone works with. The lock ends with the process, however
/// that ends.
#[derive(Debug)]
pub(super) struct PinDir {
    place: Lasting,
    _lock: Flock<File>,
}

impl PinDir {
    /// Makes and locks the folder, mounting the file system where it belongs if it is not.
    pub(super) fn claim(path: &Path) -> Result<Self, OpenError> {
        if path.starts_with(MOUNT_POINT) {
            mount_where_missing()?;
        }
        let place = Lasting::of(path);
        // Nothing is made on a file system that cannot hold it.
        if !is_bpffs(standing(place.path())) {
            return Err(OpenError::NotBpffs { pin_dir: path.to_owned() });
        }
        fs::create_dir_all(place.path()).map_err(file(path))?;
        let folder = File::open(place.path()).map_err(file(path))?;
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { place, _lock: lock }),
            Err((_, Errno::EWOULDBLOCK)) => Err(OpenError::InUse { pin_dir: path.to_owned() }),
            Err((_, errno)) => Err(file(path)(errno.into())),
        }
    }

    /// Whether nothing is pinned here.
    pub(super) fn is_empty(&self) -> Result<bool, OpenError> {
        let mut files = fs::read_dir(self.path()).map_err(file(self.path()))?;
        Ok(files.next().is_none())
    }

    /// Removes the folder with all that is pinned in it.
    pub(super) fn clear(self) -> Result<(), OpenError> {
        fs::remove_dir_all(self.path()).map_err(file(self.path()))
    }

    pub(super) fn path(&self) -> &Path {
        self.place.path()
    }
}

/// Where a path is for good.
///
/// `ip netns exec` and its like run a program with mounts of its own, and an empty folder where the
/// BPF file system belongs. What is pinned on one mounted there dies with the program, and bans must
/// not: it goes among the mounts of whoever started it.
#[derive(Debug)]
pub(super) struct Lasting {
    path: PathBuf,
    /// Keeps the way open: the process whose mounts these are may end.
    _mount_point: Option<File>,
}

impl Lasting {
    pub(super) fn of(path: &Path) -> Self {
        let here = Self { path: path.to_owned(), _mount_point: None };
        let Ok(inside) = path.strip_prefix(MOUNT_POINT) else { return here };
        if is_bpffs(standing(path)) {
            return here;
        }
        let Some(outer) = Outer::find() else { return here };
        let Ok(mount_point) = File::open(outer.mount_point()) else { return here };
        let way = PathBuf::from(format!("/proc/self/fd/{}", mount_point.as_raw_fd()));
        Self { path: way.join(inside), _mount_point: Some(mount_point) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A process whose mounts are those of the machine, where this process has others.
struct Outer {
    pid: String,
}

impl Outer {
    /// The first process, or a thread of the kernel's where that may not be looked into, or else the
    /// outermost ancestor of this one.
    fn find() -> Option<Self> {
        let mounts = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let ours = mounts("self")?;
        let machine = ["1", "2"].into_iter().find(|pid| mounts(pid).is_some()).map(str::to_owned);
        let pid = machine.or_else(|| {
            let ancestors = std::iter::successors(parent("self"), |pid| parent(pid));
            ancestors.take_while(|pid| mounts(pid).is_some()).last()
        })?;
        (mounts(&pid)? != ours).then_some(Self { pid })
    }

    fn mount_point(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{MOUNT_POINT}", self.pid))
    }
}

/// The process that started `pid`; none started the first.
fn parent(pid: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
    (parent != "0").then(|| parent.to_owned())
}

/// The nearest folder on the way to `path` that exists.
fn standing(path: &Path) -> &Path {
    path.ancestors().find(|above| above.exists()).unwrap_or(path)
}

pub(super) fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
}

/// Mounts the file system where it belongs and is not, among the mounts that stay.
fn mount_where_missing() -> Result<(), OpenError> {
    if is_bpffs(Path::new(MOUNT_POINT)) {
        return Ok(());
    }
    let mounted = match Outer::find() {
        Some(outer) if is_bpffs(&outer.mount_point()) => Ok(()),
        Some(outer) => mount_there(&outer),
        None => mount_here(),
    };
    mounted.map_err(|source| OpenError::Mount { at: PathBuf::from(MOUNT_POINT), source })
}

fn mount_there(outer: &Outer) -> io::Result<()> {
    let mounts = File::open(format!("/proc/{}/ns/mnt", outer.pid))?;
    // Only a thread with a working folder of its own may change its mounts.
    let there = thread::spawn(|| {
        unshare(CloneFlags::CLONE_FS)?;
        setns(mounts, CloneFlags::CLONE_NEWNS)?;
        mount_here()
    });
    there.join().unwrap_or_else(|_panic| Err(io::ErrorKind::Other.into()))
}

fn mount_here() -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some("bpf"), MOUNT_POINT, Some("bpf"), flags, Some("mode=0700"))?)
}

/// Names the file an error is about.
pub(super) fn file(path: &Path) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::File { path: path.to_owned(), source }
}
