//! A key: read from a file, sent, and never shown.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// A key. Whatever shows it shows that it is hidden.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("(hidden)")
    }
}

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its file cannot be read.
    #[error("{path}: the key cannot be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the file is no key.
    #[error("{path}: a key is one line of 8 to 512 visible characters", path = path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

/// A key is no longer than this, in bytes.
const LONGEST: usize = 512;

impl Secret {
    /// The key named `credential` of the service manager's, else the one in `file`; none where there is
    /// neither.
    pub fn load(credential: &str, file: Option<&Path>) -> Result<Option<Self>, SecretError> {
        let given = std::env::var_os("CREDENTIALS_DIRECTORY").map(|dir| Path::new(&dir).join(credential));
        match given.filter(|path| path.exists()).as_deref().or(file) {
            Some(path) => Self::read(path).map(Some),
            None => Ok(None),
        }
    }

    fn read(path: &Path) -> Result<Self, SecretError> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(LONGEST as u64 + 2).read_to_string(&mut text))
            .map_err(|source| SecretError::Read { path: path.to_owned(), source })?;
        let key = text.trim();
        if !(8..=LONGEST).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::NoKey { path: path.to_owned() });
        }
        Ok(Self(key.to_owned()))
    }

    /// The key itself, to be sent.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_line_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let key = Secret::load("no_such_credential", Some(&path)).unwrap().unwrap();
        assert_eq!((key.reveal(), format!("{key:?}").as_str()), ("0123456789abcdef", "(hidden)"));
        for text in [
            "",
            "short",
            "two words here",
            "line one\nline two",
            &"x".repeat(600),
            "\u{7}\u{7}\u{7}\u{7}\u{7}\u{7}\u{7}\u{7}",
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Secret::load("no_such_credential", Some(&path)).unwrap_err();
            assert!(matches!(error, SecretError::NoKey { .. }) && !error.to_string().contains("line one"));
        }
        assert!(matches!(Secret::load("x", Some(dir.path())), Err(SecretError::Read { .. })));
        assert_eq!(Secret::load("no_such_credential", None).unwrap(), None);
    }
}
