//! Erasing a name from log files: in place and of the same length, so that whoever writes to them goes on undisturbed.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Bytes that are looked at together.
const PIECE: usize = 1 << 20;
/// Files that are looked at, at the most.
const MAX_FILES: usize = 10_000;

/// Overwrites `whom` wherever one of the `logs` says it as a whole, or one that was begun before it (`.1`, …); says
/// in how many files it was.
pub(super) fn overwrite(logs: &[PathBuf], whom: &str) -> io::Result<usize> {
    let mut files = 0;
    for log in logs {
        let (Some(folder), Some(name)) = (log.parent(), log.file_name()) else { continue };
        for entry in fs::read_dir(folder)?.take(MAX_FILES) {
            let entry = entry?;
            let found = entry.file_name();
            let rest = found.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
            let is_of_it = rest.is_some_and(|rest| {
                rest.is_empty()
                    || rest.strip_prefix(b".").is_some_and(|number| number.iter().all(u8::is_ascii_digit))
            });
            // Links lead elsewhere, and are not followed there.
            if is_of_it && entry.file_type()?.is_file() && overwrite_in(&entry.path(), whom.as_bytes())? {
                files += 1;
            }
        }
    }
    Ok(files)
}

fn overwrite_in(path: &Path, whom: &[u8]) -> io::Result<bool> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let (mut kept, mut at, mut is_in) = (Vec::with_capacity(PIECE + whom.len() + 2), 0_u64, false);
    loop {
        let read = file.by_ref().take(PIECE as u64).read_to_end(&mut kept)?;
        let is_end = read == 0;
        // What may go on in the next piece is looked at again with it.
        let sure = if is_end { kept.len() } else { kept.len().saturating_sub(whom.len() + 2) };
        for found in memchr::memmem::find_iter(&kept, whom).take_while(|found| *found < sure.max(1)) {
            if is_whole(&kept, found, whom) {
                file.write_all_at(&vec![b'-'; whom.len()], at + found as u64)?;
                is_in = true;
            }
        }
        if is_end {
            break;
        }
        // One byte of what was sure stays, to see what a word at the border follows on.
        let done = sure.saturating_sub(1);
        kept.drain(..done);
        at += done as u64;
    }
    if is_in {
        file.sync_all()?;
    }
    Ok(is_in)
}

/// Whether what was found is a word of its own, and no part of a longer one.
fn is_whole(text: &[u8], at: usize, whom: &[u8]) -> bool {
    let goes_on = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let following = text.get(at + whom.len());
    let beyond = text.get(at + whom.len() + 1);
    let dotted =
        following.is_some_and(|byte| matches!(byte, b'.' | b':') && whom.contains(byte)) && goes_on(beyond);
    let preceding = at.checked_sub(1).and_then(|before| text.get(before));
    let joined = preceding.is_some_and(|byte| matches!(byte, b'.' | b':') && whom.contains(byte));
    !goes_on(following) && !dotted && !goes_on(preceding) && !joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_overwritten_in_place_and_longer_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("skyshield.log");
        let padding = "x ".repeat(PIECE / 2 - 4);
        let said = format!(
            "a=203.0.113.7 b=203.0.113.70 c=1203.0.113.7\n{padding}203.0.113.7:80 (203.0.113.7)\n203.0.113.7"
        );
        fs::write(&path, &said).unwrap();
        fs::write(dir.path().join("other.log"), "203.0.113.7").unwrap();
        fs::write(dir.path().join("skyshield.log.1"), "203.0.113.7").unwrap();
        let logs = [path.clone()];
        assert_eq!(overwrite(&logs, "203.0.113.7").unwrap(), 2);
        let left = fs::read_to_string(&path).unwrap();
        assert_eq!(left.len(), said.len());
        let expected = said
            .replace("a=203.0.113.7 ", "a=----------- ")
            .replace("203.0.113.7:80", "-----------:80")
            .replace("(203.0.113.7)\n203.0.113.7", "(-----------)\n-----------");
        assert_eq!(left, expected);
        assert_eq!(overwrite(&logs, "203.0.113.7").unwrap(), 0);
        assert_eq!(overwrite(&[], "203.0.113.7").unwrap(), 0);
    }
}
