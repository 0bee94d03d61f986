//! The strings of a JSON text, valid or not, in one pass.

use super::decode::escape;

/// What a JSON text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The name of a member.
    Key,
    /// A string, or bare text that is no number and no literal.
    Value,
}

/// Calls `see` with the path, the role and the unescaped text of each string, until it returns false.
/// Returns whether the nesting went beyond `depth`: strings there are still seen, under the deepest path kept.
pub(super) fn strings(text: &[u8], depth: usize, mut see: impl FnMut(&[u8], Role, &[u8]) -> bool) -> bool {
    let mut path = Path { depth, ..Path::default() };
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                let end = string_end(text, at + 1);
                let raw = &text[at + 1..end.min(text.len())];
                at = end + 1;
                let is_key = text[at.min(text.len())..].trim_ascii_start().first() == Some(&b':');
                let unescaped = escape::json(raw);
                let string = unescaped.as_deref().unwrap_or(raw);
                let role = if is_key { Role::Key } else { Role::Value };
                if is_key {
                    path.name(string);
                }
                if !see(&path.text, role, string) {
                    return path.too_deep;
                }
            }
            b'{' | b'[' => {
                path.open();
                at += 1;
            }
            b'}' | b']' => {
                path.close();
                at += 1;
            }
            b':' | b',' | b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            _ => {
                let end = bare_end(text, at);
                let bare = text[at..end].trim_ascii();
                at = end;
                if !is_plain(bare) && !see(&path.text, Role::Value, bare) {
                    return path.too_deep;
                }
            }
        }
    }
    path.too_deep
}

/// Whether `text` opens and ends like a JSON object or array.
pub(super) fn looks_like_json(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    matches!((text.first(), text.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
        && text.contains(&b'"')
}

/// Names from the root to here, joined by dots; one is remembered per level up to `depth`.
#[derive(Default)]
struct Path {
    text: Vec<u8>,
    starts: Vec<usize>,
    beyond: usize,
    depth: usize,
    too_deep: bool,
}

/// Bytes of a path: a longer name adds nothing that a reader could use.
const PATH_BYTES: usize = 256;

impl Path {
    fn open(&mut self) {
        if self.starts.len() < self.depth {
            self.starts.push(self.text.len());
        } else {
            self.beyond += 1;
            self.too_deep = true;
        }
    }

    fn close(&mut self) {
        if self.beyond > 0 {
            self.beyond -= 1;
        } else if let Some(start) = self.starts.pop() {
            self.text.truncate(start);
        }
    }

    fn name(&mut self, key: &[u8]) {
        if self.beyond > 0 {
            return;
        }
        self.text.truncate(self.starts.last().copied().unwrap_or(0));
        if !self.text.is_empty() {
            self.text.push(b'.');
        }
        let room = PATH_BYTES.saturating_sub(self.text.len());
        self.text.extend_from_slice(&key[..key.len().min(room)]);
    }
}

/// The index of the closing quote, or the end of the text.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += found;
        if text[at] == b'"' {
            return at;
        }
        at += 2;
    }
    text.len()
}

fn bare_end(text: &[u8], at: usize) -> usize {
    text[at..]
        .iter()
        .position(|byte| b"\",{}[]\n".contains(byte))
        .map_or(text.len(), |end| (at + end).max(at + 1))
}

fn is_plain(bare: &[u8]) -> bool {
    matches!(bare, b"true" | b"false" | b"null" | b"")
        || bare.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, Role, String)> {
        let mut seen = Vec::new();
        strings(text.as_bytes(), 4, |path, role, string| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            seen.push((text(path), role, text(string)));
            true
        });
        seen
    }

    fn values(text: &str) -> Vec<(String, String)> {
        read(text).into_iter().filter(|row| row.1 == Role::Value).map(|row| (row.0, row.2)).collect()
    }

    fn row(path: &str, value: &str) -> (String, String) {
        (path.into(), value.into())
    }

    #[test]
    fn strings_come_with_the_path_of_their_keys() {
        let rows = values(r#"{"a":{"b":["x","y"],"n":1},"c":"z","t":true}"#);
        assert_eq!(rows, [row("a.b", "x"), row("a.b", "y"), row("c", "z")]);
    }

    #[test]
    fn escapes_are_taken_off() {
        assert_eq!(values(r#"{"a":"\u003cb\u003e \"q\" \\ \/"}"#), [row("a", "<b> \"q\" \\ /")]);
    }

    #[test]
    fn a_broken_text_is_read_as_far_as_it_goes() {
        assert_eq!(values(r#"{"a": 1 or 1=1, "b":"un"#), [row("a", "1 or 1=1"), row("b", "un")]);
        assert_eq!(values("]]}\"x\\"), [row("", "x\\")]);
    }

    #[test]
    fn deeper_nesting_is_told_and_still_read() {
        let mut count = 0;
        let too_deep = strings(br#"{"a":{"b":{"c":"x"}},"d":"y"}"#, 2, |_, role, _| {
            count += usize::from(role == Role::Value);
            true
        });
        assert!(too_deep);
        assert_eq!(count, 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_growing(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut total = 0;
            strings(&bytes, 8, |_, _, string| {
                total += string.len();
                true
            });
            prop_assert!(total <= bytes.len() * 2);
        }
    }
}
