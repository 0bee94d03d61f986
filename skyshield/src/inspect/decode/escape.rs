//! Backslash escapes of scripts and JSON: `\xXX`, `\uXXXX`, `\u{…}`, octal.

use super::Pass;
use super::percent::{hex, push_char};

/// Script escapes that name a character.
pub(super) const SCRIPT: Pass = Pass { price: 8, wakes: |set| set.has(b'\\'), read: |text, _| script(text) };

/// Such escapes are resolved; a backslash before anything else stays.
fn script(text: &[u8]) -> Option<Vec<u8>> {
    rewrite(text, |rest| match rest.first()? {
        b'x' | b'X' => Some((hex(&rest[1..], 2)?, 3)),
        b'u' | b'U' => unicode(rest),
        b'0'..=b'3' => octal(rest),
        _ => None,
    })
}

/// The escapes of a JSON string, a low and a high surrogate together being one character.
pub(in crate::inspect) fn json(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'\\', text)?;
    rewrite(text, |rest| {
        let code = match rest.first()? {
            b'u' => return pair(rest).or_else(|| unicode(rest)),
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            quoted @ (b'"' | b'\\' | b'/') => *quoted,
            _ => return None,
        };
        Some((u32::from(code), 1))
    })
}

/// Replaces each backslash for which `decode` knows a code point and the bytes it took.
fn rewrite(text: &[u8], decode: impl Fn(&[u8]) -> Option<(u32, usize)>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut changed = false;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &text[at..]) {
        out.extend_from_slice(&text[at..at + found]);
        at += found + 1;
        if let Some((code, taken)) = decode(&text[at..]) {
            push_char(&mut out, code);
            at = (at + taken).min(text.len());
            changed = true;
        } else {
            out.push(b'\\');
        }
    }
    out.extend_from_slice(&text[at..]);
    changed.then_some(out)
}

fn unicode(rest: &[u8]) -> Option<(u32, usize)> {
    if rest.get(1) != Some(&b'{') {
        return Some((hex(&rest[1..], 4)?, 5));
    }
    let count = rest[2..].iter().take(7).position(|byte| *byte == b'}')?;
    Some((hex(&rest[2..], count)?, count + 3))
}

fn pair(rest: &[u8]) -> Option<(u32, usize)> {
    let high = hex(&rest[1..], 4)?.checked_sub(0xd800).filter(|high| *high < 0x400)?;
    let low = hex(rest.get(5..)?.strip_prefix(b"\\u")?, 4)?.checked_sub(0xdc00)?;
    (low < 0x400).then_some((0x1_0000 + (high << 10) + low, 11))
}

fn octal(rest: &[u8]) -> Option<(u32, usize)> {
    let digits = rest.get(..3)?;
    let code = digits.iter().try_fold(0, |sum, digit| Some(sum << 3 | char::from(*digit).to_digit(8)?))?;
    Some((code, 3))
}
