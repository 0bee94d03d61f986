//! A log file that is begun anew when it is large or old.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::config::File;
use crate::clock;

/// How often it is looked whether the file at the path is still the one that is written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file, and when it is begun anew.
#[derive(Debug)]
pub(super) struct Rotating {
    config: File,
    open: Option<Open>,
    /// When it was tried last to open it, or looked whether it is still there.
    looked_at: SystemTime,
}

#[derive(Debug)]
struct Open {
    file: fs::File,
    bytes: u64,
    begun_at: SystemTime,
    inode: (u64, u64),
}

impl Rotating {
    /// The file at `config`'s path, made where there is none.
    pub(super) fn open(config: &File) -> io::Result<Self> {
        if let Some(folder) = config.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let open = Some(Open::at(&config.path)?);
        Ok(Self { config: config.clone(), open, looked_at: clock::wall() })
    }

    fn write_at(&mut self, line: &[u8], now: SystemTime) -> io::Result<()> {
        self.look(now);
        let is_due = self.open.as_ref().is_some_and(|open| {
            let grown = open.bytes > 0 && open.bytes + line.len() as u64 > self.config.rotate_bytes;
            let age = now.duration_since(open.begun_at).unwrap_or_default();
            grown || (open.bytes > 0 && age >= Duration::from_secs(self.config.rotate_secs))
        });
        if is_due {
            self.rotate()?;
        }
        let open = self.open.as_mut().ok_or_else(|| io::Error::other("the file cannot be opened"))?;
        open.file.write_all(line)?;
        open.bytes += line.len() as u64;
        Ok(())
    }

    /// Another program, or our successor, may have moved the file away.
    fn look(&mut self, now: SystemTime) {
        if now.duration_since(self.looked_at).is_ok_and(|since| since < LOOK_EVERY) {
            return;
        }
        self.looked_at = now;
        let there = fs::metadata(&self.config.path).ok().map(|file| (file.dev(), file.ino()));
        if self.open.as_ref().is_none_or(|open| Some(open.inode) != there)
            && let Ok(open) = Open::at(&self.config.path)
        {
            self.open = Some(open);
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let File { path, keep, .. } = &self.config;
        if *keep == 0 {
            fs::remove_file(path)?;
        } else {
            for number in (1..*keep).rev() {
                // There are as many as there have been.
                let _gap = fs::rename(numbered(path, number), numbered(path, number + 1));
            }
            fs::rename(path, numbered(path, 1))?;
        }
        self.open = Some(Open::at(path)?);
        Ok(())
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        let metadata = file.metadata()?;
        let begun_at = metadata.created().or_else(|_| metadata.modified())?;
        Ok(Self { file, bytes: metadata.len(), begun_at, inode: (metadata.dev(), metadata.ino()) })
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

impl Write for Rotating {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_at(line, clock::wall())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotating(folder: &Path, keep: u32) -> Rotating {
        let path = folder.join("sky.log");
        Rotating::open(&File { path, rotate_bytes: 10, rotate_secs: 60, keep }).unwrap()
    }

    fn text(folder: &Path, name: &str) -> Option<String> {
        fs::read_to_string(folder.join(name)).ok()
    }

    #[test]
    fn a_large_file_is_begun_anew_and_only_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rotating(folder.path(), 2);
        for line in ["first 1\n", "second\n", "third\n", "fourth\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(text(folder.path(), "sky.log").unwrap(), "fourth\n");
        assert_eq!(text(folder.path(), "sky.log.1").unwrap(), "third\n");
        assert_eq!(text(folder.path(), "sky.log.2").unwrap(), "second\n");
        assert_eq!(text(folder.path(), "sky.log.3"), None);
    }

    #[test]
    fn an_old_file_is_begun_anew_and_an_empty_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rotating(folder.path(), 1);
        let later = clock::wall() + Duration::from_secs(61);
        log.write_at(b"old\n", later).unwrap();
        assert_eq!(text(folder.path(), "sky.log.1"), None);
        log.write_at(b"new\n", later).unwrap();
        assert_eq!(text(folder.path(), "sky.log.1").unwrap(), "old\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rotating(folder.path(), 1);
        log.write_all(b"a\n").unwrap();
        fs::rename(folder.path().join("sky.log"), folder.path().join("away")).unwrap();
        log.write_at(b"b\n", clock::wall() + LOOK_EVERY).unwrap();
        assert_eq!(text(folder.path(), "sky.log").unwrap(), "b\n");
    }

    #[test]
    fn none_is_kept_where_none_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rotating(folder.path(), 0);
        log.write_all(b"12345678\n").unwrap();
        log.write_all(b"9\n").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(text(folder.path(), "sky.log").unwrap(), "9\n");
    }
}
