//! Lists as they came, kept in a folder: a restart fetches nothing that is not due.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

fn place(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.list"))
}

/// The list `name` as it is kept; none where it is not, or not whole.
pub(super) fn read(dir: &Path, name: &str, max_bytes: usize) -> Option<Vec<u8>> {
    let file = File::open(place(dir, name)).ok()?;
    let mut text = Vec::new();
    file.take(max_bytes as u64 + 1).read_to_end(&mut text).ok()?;
    (text.len() <= max_bytes).then_some(text)
}

/// Keeps the list `name`: whole, or as it was.
pub(super) fn write(dir: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let (place, beside) = (place(dir, name), dir.join(format!("{name}.new")));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(beside, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_whole_or_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("feeds");
        assert_eq!(read(&dir, "drop", 100), None);
        write(&dir, "drop", b"45.0.0.1\n").unwrap();
        write(&dir, "drop", b"45.0.0.2\n").unwrap();
        assert_eq!(read(&dir, "drop", 100).as_deref(), Some(&b"45.0.0.2\n"[..]));
        assert_eq!(read(&dir, "drop", 5), None);
    }
}
