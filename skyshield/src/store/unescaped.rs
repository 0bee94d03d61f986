//! Text that was made fit for people, as it was before.

/// The bytes of which `text` is what [`u8::escape_ascii`] made.
pub(super) fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let escaped = if first == b'\\' { after.first().copied() } else { None };
        let Some(letter) = escaped else {
            bytes.push(first);
            continue;
        };
        rest = after.get(1..).unwrap_or_default();
        match letter {
            b't' => bytes.push(b'\t'),
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b'x' => {
                let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                bytes.extend(digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()));
                rest = rest.get(2..).unwrap_or_default();
            }
            other => bytes.push(other),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_was_escaped_is_read_back(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            proptest::prop_assert_eq!(unescaped(&bytes.escape_ascii().to_string()), bytes);
        }
    }
}
