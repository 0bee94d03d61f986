//! A pinned link: what keeps the program attached when the daemon is not there.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::sys::{self, LinkInfo};

const PREFIX: &str = "link-";

/// A link and where it is pinned.
#[derive(Debug)]
pub(super) struct Link {
    fd: OwnedFd,
    path: PathBuf,
}

impl Link {
    /// The links pinned in `dir`, those of interfaces that are gone included. What is pinned there
    /// under such a name and is no XDP link is left alone.
    pub(super) fn pinned(dir: &Path) -> io::Result<Vec<(Self, LinkInfo)>> {
        let mut links = Vec::new();
        for file in fs::read_dir(dir)? {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with(PREFIX) {
                let link = Self { fd: sys::object_get(&file.path())?, path: file.path() };
                if let Ok(info) = link.info() {
                    links.push((link, info));
                }
            }
        }
        Ok(links)
    }

    /// Attaches and pins. A link that cannot be pinned is let go at once: it would end with us.
    pub(super) fn create(program: BorrowedFd<'_>, ifindex: u32, flags: u32, dir: &Path) -> io::Result<Self> {
        let link = Self {
            fd: sys::link_create(program, ifindex, flags)?,
            path: dir.join(format!("{PREFIX}{ifindex}")),
        };
        sys::object_pin(link.fd.as_fd(), &link.path)?;
        Ok(link)
    }

    pub(super) fn info(&self) -> io::Result<LinkInfo> {
        sys::link_info(self.fd.as_fd())
    }

    /// Puts `program` in place of the one attached; no packet passes unseen.
    pub(super) fn update(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        sys::link_update(self.fd.as_fd(), program)
    }

    /// Ends the attachment.
    pub(super) fn detach(self) -> io::Result<()> {
        // The pin first: the descriptor is then the last to hold the link, and closing it detaches
        // before it returns.
        fs::remove_file(&self.path)
    }
}
