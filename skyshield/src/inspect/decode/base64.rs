//! Values that are base64 of text.

/// Characters that can be told from a word or a number by what they decode to.
const SHORTEST: usize = 8;

/// Whether the first characters of `value` are base64 of text, which is soon told. White space is none of
/// them, however much of it there is.
pub(in crate::inspect) fn opens(value: &[u8]) -> bool {
    let mut letters = value.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
    let head = letters.nth(4 * SHORTEST).map_or(value, |(at, _)| &value[..at]);
    let is_whole = head.len() == value.len();
    either(head, |spaces| decode(head, spaces, is_whole, |_| {})).is_some()
}

/// The text that `value` is the base64 of, whichever of the two alphabets it uses; of one that is not
/// `whole`, as far as it goes.
pub(in crate::inspect) fn text(value: &[u8], whole: bool) -> Option<Vec<u8>> {
    either(value, |spaces| {
        let mut out = Vec::with_capacity(value.len() / 4 * 3);
        decode(value, spaces, whole, |byte| out.push(byte))?;
        Some(out)
    })
}

/// Of a path the last segment, of anything else all of it.
pub(in crate::inspect) fn last_segment(value: &[u8], is_path: bool) -> &[u8] {
    if !is_path {
        return value;
    }
    value.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// What a space between the letters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spaces {
    /// A plus, which a form turns into one.
    Plus,
    /// Nothing, as other white space is.
    Nothing,
}

/// By the first of the two that makes text of it.
fn either<T>(value: &[u8], read: impl Fn(Spaces) -> Option<T>) -> Option<T> {
    read(Spaces::Plus).or_else(|| if value.contains(&b' ') { read(Spaces::Nothing) } else { None })
}

/// Ends at the first byte that no text holds, which in an honest word is among the first. What is not
/// `whole` may end within a group of four.
fn decode(value: &[u8], spaces: Spaces, whole: bool, mut push: impl FnMut(u8)) -> Option<()> {
    let value = value.trim_ascii_end();
    let value = value.strip_suffix(b"==").or_else(|| value.strip_suffix(b"=")).unwrap_or(value);
    let mut chars = Chars::default();
    let (mut bits, mut letters) = (0_u32, 0_usize);
    for letter in value {
        if matches!(letter, b'\t' | b'\r' | b'\n') || *letter == b' ' && spaces == Spaces::Nothing {
            continue;
        }
        bits = bits << 6 | sextet(*letter)?;
        letters += 1;
        if letters.is_multiple_of(4) {
            let [_, bytes @ ..] = bits.to_be_bytes();
            chars.take(&bytes, &mut push)?;
            bits = 0;
        }
    }
    let rest = letters % 4;
    if letters < SHORTEST || whole && rest == 1 {
        return None;
    }
    if rest > 1 {
        let [_, bytes @ ..] = (bits << (6 * (4 - rest))).to_be_bytes();
        chars.take(&bytes[..rest - 1], &mut push)?;
    }
    Some(())
}

/// Bytes of text in UTF-8 so far.
#[derive(Debug, Default)]
struct Chars {
    /// How many bytes of a character are to come.
    open: u8,
}

impl Chars {
    /// Hands `bytes` on; nothing where no text holds them.
    fn take(&mut self, bytes: &[u8], push: &mut impl FnMut(u8)) -> Option<()> {
        for byte in bytes {
            self.open = match (self.open, byte) {
                (0, b'\t' | b'\n' | b'\r' | 0x20..=0x7e) => 0,
                (0, 0xc2..=0xdf) => 1,
                (0, 0xe0..=0xef) => 2,
                (0, 0xf0..=0xf4) => 3,
                (1.., 0x80..=0xbf) => self.open - 1,
                _ => return None,
            };
            push(*byte);
        }
        Some(())
    }
}

fn sextet(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        // A form turns a plus into a space.
        b'+' | b'-' | b' ' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_words_numbers_and_tokens() {
        let rows = [
            ("PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", Some("<script>alert(1)</script>")),
            ("PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg", Some("<script>alert(1)</script>")),
            ("PHNjcmlwdD5h\r\nbGVydCgxKTwv\r\nc2NyaXB0Pg==\r\n", Some("<script>alert(1)</script>")),
            ("PHNj cmlwdD5h bGVydCgxKTwv c2NyaXB0Pg==", Some("<script>alert(1)</script>")),
            ("w6kgPHNjcmlwdD4", Some("é <script>")),
            ("Pz8 Pz8 Pz8", Some("??>??>??")),
            (&format!("PHNj{}cmlwdD5h", "\r".repeat(99)), Some("<script>a")),
            ("password", None),
            ("1234567890123456", None),
            ("a3f5c9d2e1b8a7f4", None),
            ("GA1.2.123", None),
            ("", None),
        ];
        for (value, expected) in rows {
            let decoded = text(value.as_bytes(), true);
            assert_eq!(decoded.as_deref(), expected.map(str::as_bytes), "{value}");
            assert_eq!(opens(value.as_bytes()), expected.is_some(), "{value}");
        }
    }
}
