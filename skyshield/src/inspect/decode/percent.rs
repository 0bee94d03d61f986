//! Percent signs: `%XX`, `%uXXXX`, and `+` in forms.

use super::Pass;

/// `%XX` and `%uXXXX`.
pub(super) const PERCENT: Pass =
    Pass { price: 4, wakes: |set| set.has(b'%'), read: |text, _| decode(text, false) };

/// The same, and `+` for a space.
pub(super) const FORM: Pass =
    Pass { price: 4, wakes: |set| set.has(b'%') || set.has(b'+'), read: |text, _| decode(text, true) };

/// One layer decoded, or nothing where there is nothing to decode. What is no valid escape stays as it is.
fn decode(text: &[u8], plus: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut changed = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = &text[at + 1..];
        if byte == b'%' {
            if let Some(decoded) = hex(rest, 2) {
                out.push(decoded.to_le_bytes()[0]);
                (at, changed) = (at + 3, true);
                continue;
            }
            if let Some(decoded) = unicode(rest) {
                push_char(&mut out, decoded);
                (at, changed) = (at + 6, true);
                continue;
            }
        }
        let is_space = plus && byte == b'+';
        out.push(if is_space { b' ' } else { byte });
        (at, changed) = (at + 1, changed || is_space);
    }
    changed.then_some(out)
}

fn unicode(rest: &[u8]) -> Option<u32> {
    let digits = rest.strip_prefix(b"u").or_else(|| rest.strip_prefix(b"U"))?;
    hex(digits, 4)
}

/// The number in the first `count` hexadecimal digits.
pub(super) fn hex(digits: &[u8], count: usize) -> Option<u32> {
    let digits = digits.get(..count)?;
    digits.iter().try_fold(0_u32, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}

/// Appends a code point as UTF-8; a lone surrogate becomes `?`.
pub(super) fn push_char(out: &mut Vec<u8>, code: u32) {
    let mut buffer = [0; 4];
    let char = char::from_u32(code).unwrap_or('?');
    out.extend_from_slice(char.encode_utf8(&mut buffer).as_bytes());
}
