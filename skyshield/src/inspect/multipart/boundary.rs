//! What separates the parts: which boundaries a content type names, and where they stand in a body.

use crate::inspect::budget::{self, Budget};

/// A boundary where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Its first dash.
    pub(super) at: usize,
    /// Behind it, and behind the end of its line where nothing else stands on that.
    pub(super) end: usize,
    /// Two more dashes: it ends the last part.
    pub(super) closes: bool,
    /// At the start of a line, with nothing but white space behind it: all applications take it for one.
    pub(super) is_sound: bool,
}

/// The boundaries that a content type names. There is one, unless somebody wants applications to differ.
pub(super) fn named(kind: &[u8]) -> Vec<&[u8]> {
    const NAME: &[u8] = b"boundary";
    let mut found: Vec<&[u8]> = Vec::new();
    let mut rest = kind;
    while let Some(at) = rest
        .windows(NAME.len())
        .position(|window| window.eq_ignore_ascii_case(NAME))
        .map(|at| at + NAME.len())
    {
        rest = rest.get(at..).unwrap_or_default();
        // `boundary*0=` too.
        let marks = rest.iter().take_while(|byte| b" \t*0".contains(byte)).count();
        let Some(value) = rest.get(marks..).and_then(|rest| rest.strip_prefix(b"=")) else { continue };
        let value = value.trim_ascii_start();
        let whole = match value.strip_prefix(b"\"") {
            Some(quoted) => until(quoted, b"\""),
            None => until(value, b"; \t"),
        };
        // Some end it at a comma.
        found
            .extend([whole.trim_ascii_end(), until(whole, b",")].into_iter().filter(|name| !name.is_empty()));
    }
    found
}

/// The boundary by the line that `body` opens with, if that looks like one.
pub(super) fn opening(body: &[u8]) -> Option<&[u8]> {
    let body = body.trim_ascii_start();
    let line = &body[..memchr::memchr2(b'\r', b'\n', body).unwrap_or(body.len())];
    line.strip_prefix(b"--").map(<[u8]>::trim_ascii_end).filter(|name| !name.is_empty())
}

fn until<'t>(text: &'t [u8], ends: &[u8]) -> &'t [u8] {
    let end = text.iter().position(|byte| ends.contains(byte)).unwrap_or(text.len());
    &text[..end]
}

/// Where `boundary` stands in `body`, as far as `budget` pays for it.
pub(super) fn marks(body: &[u8], boundary: &[u8], budget: &mut Budget) -> Vec<Mark> {
    let line = [b"--", boundary].concat();
    let finder = memchr::memmem::Finder::new(&line);
    let found = finder.find_iter(body).take_while(|_| budget.take(budget::MARK));
    found.map(|at| mark(body, at, at + line.len())).collect()
}

fn mark(body: &[u8], at: usize, end: usize) -> Mark {
    let begins = at.checked_sub(1).is_none_or(|before| body[before] == b'\n');
    let rest = body.get(end..).unwrap_or_default();
    let closes = rest.starts_with(b"--");
    let rest = if closes { &rest[2..] } else { rest };
    let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let rest = &rest[padding..];
    let line_end = match rest {
        [b'\r', b'\n', ..] => Some(2),
        [b'\n', ..] => Some(1),
        [] => Some(0),
        _ => None,
    };
    let marked = end + if closes { 2 } else { 0 };
    Mark {
        at,
        end: line_end.map_or(marked, |len| marked + padding + len),
        closes,
        // What stands on the line behind the end is read by nobody.
        is_sound: begins && (closes || line_end.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_boundary_that_some_application_reads_is_one() {
        let rows: [(&str, &[&[u8]]); 8] = [
            ("multipart/form-data; boundary=b", &[b"b", b"b"]),
            ("multipart/form-data; Boundary=\"a b\"; x=y", &[b"a b", b"a b"]),
            ("multipart/form-data; boundary=b;boundary = c", &[b"b", b"b", b"c", b"c"]),
            ("multipart/form-data; boundary=a,b", &[b"a,b", b"a"]),
            ("multipart/form-data; boundary*0=a", &[b"a", b"a"]),
            ("multipart/form-data; boundary=\"a", &[b"a", b"a"]),
            ("multipart/form-data; boundary=", &[]),
            ("multipart/form-data; boundary", &[]),
        ];
        for (kind, expected) in rows {
            assert_eq!(named(kind.as_bytes()), expected, "{kind}");
        }
    }
}
