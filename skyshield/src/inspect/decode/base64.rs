//! Values that are base64 of printable text.

/// Characters that can be told from a word or a number by what they decode to.
const SHORTEST: usize = 8;
/// Characters decoded; a longer value is cut.
pub(in crate::inspect) const LONGEST: usize = 16 * 1024;

/// Whether `value` is base64 of printable text.
pub(in crate::inspect) fn is_text(value: &[u8]) -> bool {
    decode(value, |_| {}).is_some()
}

/// Whether the first characters of `value` are base64 of printable text, which is soon told.
pub(in crate::inspect) fn opens(value: &[u8]) -> bool {
    let head = &value[..value.len().min(4 * SHORTEST)];
    is_text(if value.len() > head.len() { head } else { value })
}

/// The printable text that `value` is the base64 of, whichever of the two alphabets it uses.
pub(in crate::inspect) fn text(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    decode(value, |byte| out.push(byte))?;
    Some(out)
}

/// Of a path the last segment, of anything else all of it.
pub(in crate::inspect) fn last_segment(value: &[u8], is_path: bool) -> &[u8] {
    if !is_path {
        return value;
    }
    value.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Ends at the first byte that no printable text holds, which in an honest word is among the first.
fn decode(value: &[u8], mut push: impl FnMut(u8)) -> Option<()> {
    let value = value.strip_suffix(b"==").or_else(|| value.strip_suffix(b"=")).unwrap_or(value);
    if value.len() < SHORTEST || value.len() % 4 == 1 {
        return None;
    }
    for group in value[..value.len().min(LONGEST)].chunks(4) {
        let mut bits = 0_u32;
        for at in 0..4 {
            bits = bits << 6 | group.get(at).map_or(Some(0), |letter| sextet(*letter))?;
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        for byte in &bytes[..group.len().saturating_sub(1)] {
            if !matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e) {
                return None;
            }
            push(*byte);
        }
    }
    Some(())
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
            ("password", None),
            ("1234567890123456", None),
            ("a3f5c9d2e1b8a7f4", None),
            ("GA1.2.123", None),
            ("", None),
        ];
        for (value, expected) in rows {
            let decoded = text(value.as_bytes());
            assert_eq!(decoded.as_deref(), expected.map(str::as_bytes), "{value}");
            assert_eq!(is_text(value.as_bytes()), expected.is_some());
        }
    }
}
