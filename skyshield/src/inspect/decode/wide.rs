//! Characters written wider than they are: overlong UTF-8, full-width forms, look-alike slashes and dots.

use super::Pass;
use crate::inspect::byteset::ByteSet;

/// Bytes that open an overlong or a foldable sequence.
const LEADS: ByteSet = ByteSet::of(&[0xc0, 0xc1, 0xe0, 0xe2, 0xee, 0xef, 0xf0, 0xf8, 0xfc]);

/// Characters wider than they are.
pub(super) const WIDE: Pass = Pass { price: 4, wakes: |set| set.meets(LEADS), read: |text, _| fold(text) };

/// The text with such characters as ASCII, or nothing where it has none.
fn fold(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut changed = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if let Some((ascii, taken)) = overlong(&text[at..]).or_else(|| look_alike(&text[at..])) {
            out.push(ascii);
            at += taken;
            changed = true;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    changed.then_some(out)
}

/// An ASCII character in two to six bytes. Decoders that accept these often ignore the two
/// marker bits of the last byte, so `c1 1c` is a backslash too.
fn overlong(rest: &[u8]) -> Option<(u8, usize)> {
    let zeros = |count: usize| {
        rest.get(1..count).is_some_and(|middle| middle.iter().all(|byte| matches!(byte, 0x80 | 0x00)))
    };
    let len = match rest.first()? {
        lead @ (0xc0 | 0xc1) => return Some((two_bytes(*lead, *rest.get(1)?)?, 2)),
        0xe0 => 3,
        0xf0 => 4,
        0xf8 => 5,
        0xfc => 6,
        _ => return None,
    };
    let (high, low) = (*rest.get(len - 2)?, *rest.get(len - 1)?);
    if !zeros(len - 2) || high & 0xbe != 0x80 || low & 0xc0 != 0x80 {
        return None;
    }
    let code = (high & 1) << 6 | (low & 0x3f);
    (0x20..0x7f).contains(&code).then_some((code, len))
}

/// Dots and slashes are read from any second byte that some decoder takes for them.
fn two_bytes(lead: u8, low: u8) -> Option<u8> {
    let code = (lead & 1) << 6 | (low & 0x3f);
    let is_continuation = low & 0xc0 == 0x80;
    match low & 0x0f {
        0x0f if low == 0xaf || !is_continuation => Some(b'/'),
        0x0e if !is_continuation => Some(b'.'),
        0x0c if low == 0x9c || !is_continuation => Some(b'\\'),
        _ => (is_continuation && (0x20..0x7f).contains(&code)).then_some(code),
    }
}

fn look_alike(rest: &[u8]) -> Option<(u8, usize)> {
    let folded = match rest.get(..3)? {
        // U+FF01..=U+FF5E are the ASCII characters at full width.
        [0xef, 0xbc, low @ 0x81..=0xbf] => low - 0x60,
        [0xef, 0xbd, low @ 0x80..=0x9e] => low - 0x20,
        // U+F025 and U+EFC8 are private, and slashes to some code pages.
        [0xe2, 0x88, 0x95] | [0xe2, 0x81, 0x84] | [0xef, 0x80, 0xa5] | [0xee, 0xbf, 0x88] => b'/',
        [0xe2, 0x88, 0x96] | [0xef, 0xb9, 0xa8] => b'\\',
        _ => return None,
    };
    Some((folded, 3))
}
