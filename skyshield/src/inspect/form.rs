//! Pairs of a query, a form body or a cookie header: split, not decoded.

/// The pairs of `text`, separated by `&`, in their order. A pair without `=` is a name with no value.
pub(super) fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(split_pair)
}

/// The cookies of one `Cookie` header.
pub(super) fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|cookie| !cookie.is_empty())
        .map(split_pair)
}

/// Whether `text` opens like a form: a plain name, then `=`.
pub(super) fn looks_like_form(text: &[u8]) -> bool {
    let name = text.iter().take(128).position(|byte| !is_name_byte(*byte));
    name.is_some_and(|end| end > 0 && text[end] == b'=')
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.[]%".contains(&byte)
}

pub(super) fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', pair) {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_split_at_its_first_equals_sign() {
        let rows: Vec<_> = pairs(b"a=1=2&&b&=c").collect();
        assert_eq!(rows, [(&b"a"[..], &b"1=2"[..]), (b"b", b""), (b"", b"c")]);
    }

    #[test]
    fn cookies_lose_the_white_space_around_them() {
        let rows: Vec<_> = cookies(b"sid=x ; us_privacy=1---;").collect();
        assert_eq!(rows, [(&b"sid"[..], &b"x"[..]), (b"us_privacy", b"1---")]);
    }

    #[test]
    fn only_a_name_followed_by_equals_looks_like_a_form() {
        assert!(looks_like_form(b"user[name]=x"));
        assert!(!looks_like_form(b"Dear all, a=b"));
        assert!(!looks_like_form(b"=a"));
        assert!(!looks_like_form(b""));
    }
}
