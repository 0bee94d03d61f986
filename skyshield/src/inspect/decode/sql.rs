//! SQL comments, which separate words as white space does.

use super::Pass;
use crate::inspect::byteset::ByteSet;

/// SQL comments.
pub(super) const COMMENTS: Pass =
    Pass { price: 12, wakes: |set| has_block(set) || has_line(set), read: strip_comments };

fn has_block(set: ByteSet) -> bool {
    set.has(b'/') && set.has(b'*')
}

fn has_line(set: ByteSet) -> bool {
    set.has(b'\n') && (set.has(b'-') || set.has(b'#'))
}

/// The text with `/*…*/` and `-- …⏎`, `#…⏎` as a space, and what `/*!NNNNN …*/` runs kept.
fn strip_comments(text: &[u8], set: ByteSet) -> Option<Vec<u8>> {
    let mut line = has_line(set);
    let mut out = Vec::with_capacity(text.len());
    let mut changed = false;
    let mut versioned = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        let taken = if let Some(inner) = rest.strip_prefix(b"/*!") {
            versioned = true;
            3 + inner.iter().take_while(|digit| digit.is_ascii_digit()).count()
        } else if rest.starts_with(b"/*") {
            memchr::memmem::find(&rest[2..], b"*/").map_or(0, |end| end + 4)
        } else if versioned && rest.starts_with(b"*/") {
            versioned = false;
            2
        } else if line && (rest.starts_with(b"--") || byte == b'#') {
            let end = memchr::memchr(b'\n', rest);
            line = end.is_some();
            end.map_or(0, |end| end + 1)
        } else {
            0
        };
        // An open comment runs to the end, and every later one with it: one search is enough.
        if taken == 0 && rest.starts_with(b"/*") {
            out.extend_from_slice(rest);
            break;
        }
        out.push(if taken > 0 { b' ' } else { byte });
        changed |= taken > 0;
        at += taken.max(1);
    }
    changed.then_some(out)
}
