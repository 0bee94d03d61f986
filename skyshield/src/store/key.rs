//! The installation's own key: random, made once, beside the database and readable by root only.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::open::OpenError;

/// The key in the folder `dir`, made when absent or cut short.
pub(super) fn load(dir: &Path) -> Result<[u8; 32], OpenError> {
    let path = dir.join("key");
    read_or_make(&path).map_err(|source| OpenError::Io { path, source })
}

fn read_or_make(path: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    match std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut key)) {
        Ok(()) => return Ok(key),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {}
        Err(error) => return Err(error),
    }
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_root_only() {
        let dir = tempfile::tempdir().unwrap();
        let key = load(dir.path()).unwrap();
        assert_eq!(load(dir.path()).unwrap(), key);
        assert_ne!(key, [0; 32]);
        let mode = std::fs::metadata(dir.path().join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(dir.path().join("key"), b"short").unwrap();
        assert_ne!(load(dir.path()).unwrap(), key, "what is cut short is made anew");
    }
}
