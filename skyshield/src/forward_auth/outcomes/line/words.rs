//! The words of a log line: quoted or bare, with what escapes them taken off.

use std::ops::Deref;

/// Words of a line that are read at the most.
const MAX_WORDS: usize = 64;

/// One word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    text: String,
    pub(super) is_bare: bool,
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// The words of `text`, between single spaces; nothing where a quote does not end.
pub(super) fn words(text: &str) -> Option<Vec<Word>> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if found.len() == MAX_WORDS {
            return None;
        }
        let is_bare = !rest.starts_with('"');
        let (word, behind) = if is_bare {
            let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            (word.to_owned(), behind)
        } else {
            let (word, behind) = quoted(rest.get(1..)?)?;
            (word, behind.strip_prefix(' ').or_else(|| behind.is_empty().then_some(""))?)
        };
        found.push(Word { text: word, is_bare });
        rest = behind;
    }
    Some(found)
}

/// What stands up to the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut word = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            b'"' => break,
            b'\\' => {
                let escaped = *bytes.get(at + 1)?;
                let hex = text.get(at + 2..at + 4).and_then(|digits| u8::from_str_radix(digits, 16).ok());
                match (escaped, hex) {
                    (b'x', Some(byte)) => {
                        word.push(byte);
                        at += 2;
                    }
                    (b'n', _) => word.push(b'\n'),
                    (b't', _) => word.push(b'\t'),
                    (b'r', _) => word.push(b'\r'),
                    (other, _) => word.push(other),
                }
                at += 2;
            }
            byte => {
                word.push(byte);
                at += 1;
            }
        }
    }
    Some((String::from_utf8_lossy(&word).into_owned(), text.get(at + 1..)?))
}

/// Method and target of a request line; what was no request has none.
pub(super) fn request(line: &str) -> Option<(String, String)> {
    let (method, rest) = line.split_once(' ')?;
    let target = rest.rsplit_once(' ').filter(|(_, version)| version.starts_with("HTTP/"));
    let target = target.map_or(rest, |(target, _)| target);
    let is_method =
        !method.is_empty() && method.len() <= 32 && method.bytes().all(|byte| byte.is_ascii_graphic());
    (is_method && !target.is_empty()).then(|| (method.to_owned(), target.to_owned()))
}
