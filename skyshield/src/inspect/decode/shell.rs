//! Shell quoting: what a shell drops before it looks for a command.

use super::Pass;
use crate::inspect::byteset::ByteSet;

/// Shell quoting and empty expansions.
pub(super) const QUOTING: Pass =
    Pass { price: 5, wakes: |set| set.meets(TRIGGERS) && set.meets(STARTS), read: |text, _| unquote(text) };

/// Bytes without which there is nothing to drop.
const TRIGGERS: ByteSet = ByteSet::of(b"'\"\\^$");

/// Bytes without which a shell starts no second command.
const STARTS: ByteSet = ByteSet::of(b";|&`$\n/(=<");

/// The text as a shell would split it: quotes, backslashes and carets gone, `$IFS` a space, empty
/// expansions (`$@`, `$*`, `$9`) gone.
fn unquote(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut changed = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let (kept, taken) = match byte {
            b'\'' | b'"' | b'\\' | b'^' => (None, 1),
            b'$' => expansion(&text[at..]).unwrap_or((Some(b'$'), 1)),
            _ => (Some(byte), 1),
        };
        changed |= taken > 1 || kept.is_none();
        out.extend(kept);
        at += taken;
    }
    changed.then_some(out)
}

/// What an expansion leaves, and the bytes it takes.
fn expansion(rest: &[u8]) -> Option<(Option<u8>, usize)> {
    for (spelling, left) in [(&b"${IFS}"[..], b' '), (b"${IFS%??}", b' '), (b"$IFS$9", b' '), (b"$IFS", b' ')]
    {
        if rest.len() >= spelling.len() && rest[..spelling.len()].eq_ignore_ascii_case(spelling) {
            return Some((Some(left), spelling.len()));
        }
    }
    match rest.get(1)? {
        b'@' | b'*' | b'1'..=b'9' => Some((None, 2)),
        _ => None,
    }
}
