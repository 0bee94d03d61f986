//! Parameters that come more than once. Some applications take the first, some the last, and some join
//! them, so that an attack may be spread over several.

/// Pairs looked at. Those beyond are read one by one like all others, and not joined.
const PAIRS: usize = 64;
/// Bytes of a joined value.
const BYTES: usize = 8 * 1024;

/// Calls `see` with each name that comes more than once and its values joined by commas, as ASP does.
pub(super) fn joined<'t>(
    pairs: impl Iterator<Item = (&'t [u8], &'t [u8])>,
    mut see: impl FnMut(&[u8], &[u8]) -> bool,
) -> bool {
    let pairs: Vec<_> = pairs.filter(|(name, _)| !name.is_empty()).take(PAIRS).collect();
    for (at, (name, first)) in pairs.iter().enumerate() {
        let same = |pair: &&(&[u8], &[u8])| pair.0 == *name;
        if pairs[..at].iter().any(|pair| same(&pair)) {
            continue;
        }
        let mut rest = pairs[at + 1..].iter().filter(same).peekable();
        if rest.peek().is_none() {
            continue;
        }
        let mut joined = first.to_vec();
        for (_, value) in rest {
            if joined.len() + 1 + value.len() > BYTES {
                break;
            }
            joined.push(b',');
            joined.extend_from_slice(value);
        }
        if !see(name, &joined) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::form;

    fn read(text: &str) -> Vec<(String, String)> {
        let mut seen = Vec::new();
        let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        joined(form::pairs(text.as_bytes()), |name, value| {
            seen.push((text_of(name), text_of(value)));
            true
        });
        seen
    }

    #[test]
    fn what_comes_twice_is_joined_and_what_comes_once_is_not() {
        let rows = [("a".to_owned(), "1,3".to_owned()), ("c".to_owned(), "4,5,6".to_owned())];
        assert_eq!(read("a=1&b=2&a=3&c=4&c=5&c=6"), rows);
        assert_eq!(read("a=1&b=2"), []);
        assert_eq!(read("=1&=2"), []);
    }

    #[test]
    fn joining_is_bounded() {
        let text = format!("a={}&a={}&a=b", "x".repeat(5000), "y".repeat(5000));
        assert_eq!(read(&text)[0].1.len(), 5000);
        assert_eq!(read(&"a=1&".repeat(1000))[0].1.len(), 2 * PAIRS - 1);
    }
}
