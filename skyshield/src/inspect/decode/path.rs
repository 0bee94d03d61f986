//! One kind of slash, and nothing between the dots.

use super::{Pass, wide};
use crate::inspect::byteset::ByteSet;

/// Slashes and dots.
pub(super) const SLASHES: Pass =
    Pass { price: 6, wakes: |set| is_plain(set) || is_careless(set), read: flatten };

fn is_plain(set: ByteSet) -> bool {
    set.has(b'.') && (set.has(b'/') || set.has(b'\\'))
}

fn is_careless(set: ByteSet) -> bool {
    set.has(b'%') || (set.has(b'0') && set.has(b'x'))
}

/// The text with `\` as `/`, repeated slashes and `./` steps folded, without control and stray lead bytes,
/// and with what careless decoders take for a dot or a slash.
fn flatten(text: &[u8], set: ByteSet) -> Option<Vec<u8>> {
    let decoded = if is_careless(set) { decode_carelessly(text) } else { None };
    let folded = decoded.as_ref().and_then(|bytes| {
        let set = ByteSet::scan(bytes);
        (wide::WIDE.wakes)(set).then(|| (wide::WIDE.read)(bytes, set)).flatten()
    });
    let source = folded.as_deref().or(decoded.as_deref()).unwrap_or(text);
    let mut out: Vec<u8> = Vec::with_capacity(source.len());
    for &byte in source {
        match byte {
            0..=0x1f | 0x7f | 0xc0 | 0xc1 | 0xf5..=0xff => {}
            b'/' | b'\\' => step(&mut out),
            _ => out.push(byte),
        }
    }
    (out != text).then_some(out)
}

/// Adds a slash, unless it repeats one or only says "here".
fn step(out: &mut Vec<u8>) {
    if out.ends_with(b"/.") {
        out.pop();
    }
    if out.last() != Some(&b'/') {
        out.push(b'/');
    }
}

/// `%XY` with letters beyond `f` counted on, as decoders do that do not check their digits
/// (`%qf` is `%af`), and `0x2e`, `0x2f`, `0x5c`.
fn decode_carelessly(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut changed = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let (decoded, taken) = match &text[at..] {
            [b'%', high, b'%', low, ..] if high.is_ascii_hexdigit() => (digits(*high, *low), 4),
            [b'%', high, low, ..] => (digits(*high, *low), 3),
            [b'0', b'x' | b'X', high @ (b'2' | b'5'), low, ..] => (spelled(*high, *low), 4),
            _ => (None, 1),
        };
        out.push(decoded.unwrap_or(byte));
        at += if decoded.is_some() { taken } else { 1 };
        changed |= decoded.is_some();
    }
    changed.then_some(out)
}

fn digits(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(36);
    let code = digit(high)? * 16 + digit(low)?;
    Some(code.to_le_bytes()[0])
}

fn spelled(high: u8, low: u8) -> Option<u8> {
    match (high, low.to_ascii_lowercase()) {
        (b'2', b'e') => Some(b'.'),
        (b'2', b'f') => Some(b'/'),
        (b'5', b'c') => Some(b'\\'),
        _ => None,
    }
}
