//! HTML entities, numeric and the few named ones that attacks need.

use super::Pass;
use super::percent::push_char;

/// Names that stand for a character of markup or script.
const NAMED: [(&[u8], u8); 16] = [
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"quot", b'"'),
    (b"apos", b'\''),
    (b"amp", b'&'),
    (b"colon", b':'),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"tab", b'\t'),
    (b"newline", b'\n'),
    (b"sol", b'/'),
    (b"bsol", b'\\'),
    (b"semi", b';'),
    (b"equals", b'='),
    (b"grave", b'`'),
    (b"nbsp", b' '),
];

/// Two layers resolved: what stored an entity may have escaped its `&`.
pub(super) const ENTITIES: Pass = Pass { price: 12, wakes: |set| set.has(b'&'), read: |text, _| twice(text) };

fn twice(text: &[u8]) -> Option<Vec<u8>> {
    let once = decode(text)?;
    Some(decode(&once).unwrap_or(once))
}

/// The text with its entities resolved, or nothing where it has none.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'&', text)?;
    let mut out = Vec::with_capacity(text.len());
    let mut changed = false;
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'&', &text[at..]) {
        out.extend_from_slice(&text[at..at + found]);
        at += found + 1;
        match numeric(&text[at..]).or_else(|| named(&text[at..])) {
            Some((code, taken)) => {
                push_char(&mut out, code);
                at += taken;
                changed = true;
            }
            None => out.push(b'&'),
        }
    }
    out.extend_from_slice(&text[at..]);
    changed.then_some(out)
}

/// A browser takes a numeric entity without its semicolon, and any count of leading zeros.
fn numeric(rest: &[u8]) -> Option<(u32, usize)> {
    let rest = rest.strip_prefix(b"#")?;
    let (radix, digits, mark) = match rest.first()? {
        b'x' | b'X' => (16, &rest[1..], 2),
        _ => (10, rest, 1),
    };
    let count = digits.iter().take(12).take_while(|digit| char::from(**digit).is_digit(radix)).count();
    let code = digits[..count].iter().fold(0_u32, |sum, digit| {
        sum.saturating_mul(radix).saturating_add(char::from(*digit).to_digit(radix).unwrap_or(0))
    });
    let ended = usize::from(digits.get(count) == Some(&b';'));
    (count > 0).then_some((code, mark + count + ended))
}

fn named(rest: &[u8]) -> Option<(u32, usize)> {
    let end = rest.iter().take(9).position(|byte| *byte == b';')?;
    let (_, code) = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(&rest[..end]))?;
    Some((u32::from(*code), end + 1))
}
