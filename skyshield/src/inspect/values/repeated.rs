//! Parameters that come more than once. Some applications take the first, some the last, and some join
//! them, so that an attack may be spread over several.

use crate::inspect::limits::Limits;

/// Calls `see` with each name that comes more than once and its values joined by commas, as ASP does, until
/// it returns false. Those beyond `limits` are read one by one like all others, and not joined; the bounds
/// that were reached are returned.
pub(super) fn joined<'t>(
    mut pairs: impl Iterator<Item = (&'t [u8], &'t [u8])>,
    limits: &Limits,
    mut see: impl FnMut(&[u8], &[u8]) -> bool,
) -> [Option<&'static str>; 2] {
    let named = pairs.by_ref().filter(|(name, _)| !name.is_empty());
    let kept: Vec<_> = named.take(limits.joined_pairs).collect();
    let mut reached = [pairs.next().map(|_| "joined_pairs"), None];
    for (at, (name, first)) in kept.iter().enumerate() {
        let same = |pair: &&(&[u8], &[u8])| pair.0 == *name;
        if kept[..at].iter().any(|pair| same(&pair)) {
            continue;
        }
        let mut rest = kept[at + 1..].iter().filter(same).peekable();
        if rest.peek().is_none() {
            continue;
        }
        let mut joined = first.to_vec();
        for (_, value) in rest {
            if joined.len() + 1 + value.len() > limits.joined_bytes {
                reached[1] = Some("joined_bytes");
                break;
            }
            joined.push(b',');
            joined.extend_from_slice(value);
        }
        if !see(name, &joined) {
            break;
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::form;

    fn read(text: &str) -> Vec<(String, String)> {
        let mut seen = Vec::new();
        let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        joined(form::pairs(text.as_bytes()), &Limits::default(), |name, value| {
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
    fn joining_is_bounded_and_the_bounds_are_told() {
        let limits = Limits::default();
        let reached = |text: &str| joined(form::pairs(text.as_bytes()), &limits, |_, _| true);
        assert_eq!(reached("a=1&a=2"), [None, None]);
        assert_eq!(reached(&"a=1&".repeat(limits.joined_pairs)), [None, None]);
        assert_eq!(reached(&"a=1&".repeat(limits.joined_pairs + 1)), [Some("joined_pairs"), None]);
        let long = format!("a={0}&a={0}", "x".repeat(5000));
        assert_eq!(reached(&long), [None, Some("joined_bytes")]);
        let text = format!("a={}&a={}&a=b", "x".repeat(5000), "y".repeat(5000));
        assert_eq!(read(&text)[0].1.len(), 5000);
        assert_eq!(read(&"a=1&".repeat(1000))[0].1.len(), 2 * limits.joined_pairs - 1);
    }
}
