//! `${…}` lookups inside one another: `${${lower:j}ndi:…}` reads `${jndi:…}`.

use super::Pass;

/// Lookups inside of lookups.
pub(super) const LOOKUPS: Pass = Pass {
    price: 14,
    wakes: |set| set.has(b'$') && set.has(b'{') && set.has(b'}'),
    read: |text, _| resolve(text),
};

/// Bytes of a lookup's body; a longer one yields nothing, which keeps the pass linear.
const BODY_BYTES: usize = 256;

/// The text with each inner lookup replaced by what it yields, outer ones kept. One pass with a stack.
fn resolve(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut open = Vec::new();
    let mut changed = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if text[at..].starts_with(b"${") {
            open.push(out.len());
            out.extend_from_slice(b"${");
            at += 2;
            continue;
        }
        at += 1;
        if byte == b'}'
            && let Some(start) = open.pop()
            && let Some(result) = yielded(&out[start + 2..])
        {
            let kept = out.len() - result..out.len();
            out.copy_within(kept, start);
            out.truncate(start + result);
            changed = true;
            continue;
        }
        out.push(byte);
    }
    changed.then_some(out)
}

/// How many bytes at the end of a lookup's body it yields: the default after `:-`, or the argument
/// of a lookup that only changes its text.
fn yielded(body: &[u8]) -> Option<usize> {
    if body.len() > BODY_BYTES {
        return None;
    }
    if let Some(at) = memchr::memmem::find(body, b":-") {
        return Some(body.len() - at - 2);
    }
    let at = memchr::memchr(b':', body)?;
    let name = &body[..at];
    let plain = [&b"lower"[..], b"upper", b"date"].iter().any(|known| known.eq_ignore_ascii_case(name));
    (plain || name.is_empty()).then_some(body.len() - at - 1)
}
