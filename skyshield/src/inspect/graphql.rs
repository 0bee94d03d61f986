//! GraphQL documents, valid or not: the strings in them, and how far they reach.

/// What a document asks for, as far as it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Selections inside selections.
    pub(super) depth: usize,
    /// Fields asked for under another name.
    pub(super) aliases: usize,
}

/// Selections inside selections from which a query is built to cost. What front ends write stays below ten;
/// the question that tools ask for the whole schema has fifteen, and a rule of its own.
const DEEP: usize = 16;
/// Aliases from which a query asks the same thing over and over.
const MANY: usize = 30;

/// Whether selections nest deeper than honest queries do.
pub(super) fn is_deep(text: &[u8]) -> bool {
    looks_like_a_document(text) && read(text, |_| true).depth >= DEEP
}

/// Whether fields are asked for under other names by the dozen.
pub(super) fn has_many_aliases(text: &[u8]) -> bool {
    looks_like_a_document(text) && read(text, |_| true).aliases >= MANY
}

/// Whether `text` opens like a document and selects something.
pub(super) fn looks_like_a_document(text: &[u8]) -> bool {
    const OPENINGS: [&[u8]; 4] = [b"query", b"mutation", b"subscription", b"fragment"];
    let text = text.trim_ascii();
    let opens = |word: &&[u8]| {
        let after = text.strip_prefix(*word).and_then(<[u8]>::first);
        after.is_some_and(|byte| byte.is_ascii_whitespace() || b"{(@".contains(byte))
    };
    if !text.ends_with(b"}") {
        return false;
    }
    // JSON opens like this too, and goes on with a quote.
    let is_short = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start).and_then(<[u8]>::first);
    OPENINGS.iter().any(opens) && text.contains(&b'{')
        || is_short.is_some_and(|byte| byte.is_ascii_alphabetic() || b"_.".contains(byte))
}

/// Calls `see` with each string of `text`, its quotes taken off, until it returns false; returns what was read.
pub(super) fn read(text: &[u8], mut see: impl FnMut(&[u8]) -> bool) -> Shape {
    let mut shape = Shape::default();
    let (mut depth, mut in_arguments, mut at) = (0_usize, 0_usize, 0);
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        at += match byte {
            b'"' => {
                let (string, len) = string(rest);
                if !string.is_empty() && !see(string) {
                    return shape;
                }
                len
            }
            b'#' => memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
            b'(' => {
                in_arguments += 1;
                1
            }
            b')' => {
                in_arguments = in_arguments.saturating_sub(1);
                1
            }
            b'{' if in_arguments == 0 => {
                depth += 1;
                shape.depth = shape.depth.max(depth);
                1
            }
            b'}' if in_arguments == 0 => {
                depth = depth.saturating_sub(1);
                1
            }
            // Outside of arguments a colon stands behind an alias and nowhere else.
            b':' if in_arguments == 0 => {
                shape.aliases += 1;
                1
            }
            _ => 1,
        };
    }
    shape
}

/// The string that `text` opens with, and the bytes it takes with its quotes.
fn string(text: &[u8]) -> (&[u8], usize) {
    if let Some(block) = text.strip_prefix(b"\"\"\"") {
        let end = memchr::memmem::find(block, b"\"\"\"").unwrap_or(block.len());
        return (&block[..end], (end + 6).min(text.len()));
    }
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' | b'\n' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    let end = at.min(text.len());
    (&text[1..end], (end + 1).min(text.len()).max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strings(text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        read(text.as_bytes(), |string| {
            seen.push(String::from_utf8_lossy(string).into_owned());
            true
        });
        seen
    }

    #[test]
    fn strings_are_read_wherever_they_stand() {
        let text =
            "query($a: S = \"x\") { user(id: \"1' or 1=1\", f: {n: \"\"\"b\nc\"\"\"}) { name } } # \"no\"";
        assert_eq!(strings(text), ["x", "1' or 1=1", "b\nc"]);
        assert_eq!(strings("{a(b:\"x\\\"y\")}"), ["x\\\"y"]);
        assert_eq!(strings("{a(b:\"open"), ["open"]);
    }

    #[test]
    fn depth_and_aliases_are_counted_outside_of_arguments() {
        let shape = read(b"{ a: user(f: {g: {h: 1}}) { b: name { c } } }", |_| true);
        assert_eq!(shape, Shape { depth: 3, aliases: 2 });
        let deep = format!("{}x{}", "{a".repeat(16), "}".repeat(16));
        assert!(is_deep(deep.as_bytes()) && !is_deep(b"{a{b{c}}}"));
        let many = "a: login(p: \"x\") ".repeat(30);
        assert!(has_many_aliases(format!("{{{many}}}").as_bytes()) && !has_many_aliases(b"{a:b c:d}"));
    }

    #[test]
    fn json_and_prose_are_no_documents() {
        for text in ["{\"a\":{}}", "query me", "{}", "", "{ 1 }", "a {b}"] {
            assert!(!looks_like_a_document(text.as_bytes()), "{text}");
        }
        for text in ["{ me { id } }", "query A($x: I) { a }", "mutation{a}", " fragment F on T { a } "] {
            assert!(looks_like_a_document(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..300), noisy in "[{}():\"\\\\#\na]{0,200}") {
            for text in [bytes.as_slice(), noisy.as_bytes()] {
                let mut total = 0;
                read(text, |string| { total += string.len(); true });
                prop_assert!(total <= text.len());
                is_deep(text);
                has_many_aliases(text);
            }
        }
    }
}
