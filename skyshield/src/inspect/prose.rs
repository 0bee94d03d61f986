//! Whether a text is written for people, in which even a whole attack may only be talked about.

/// Words from which a text can be prose at all.
const WORDS: usize = 12;

/// Bytes looked at, from the start.
const BYTES: usize = 2048;

/// Whether most of what white space separates are words of letters, punctuation at their ends aside.
pub(super) fn is_prose(text: &[u8]) -> bool {
    let tokens = head(text).split(u8::is_ascii_whitespace).filter(|token| !token.is_empty());
    let (words, all) =
        tokens.fold((0_usize, 0_usize), |(words, all), token| (words + usize::from(is_word(token)), all + 1));
    words >= WORDS && words * 10 >= all * 7
}

/// As much of `text` as is looked at.
pub(super) fn head(text: &[u8]) -> &[u8] {
    &text[..text.len().min(BYTES)]
}

fn is_word(token: &[u8]) -> bool {
    let end = token.iter().rposition(|byte| !b".,;:!?)\"'".contains(byte)).map_or(0, |last| last + 1);
    let start = token.iter().position(|byte| !b"(\"'".contains(byte)).unwrap_or(0);
    let letters = token.get(start..end).unwrap_or_default();
    !letters.is_empty()
        && letters.iter().all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80 || b"'-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_prose_and_payloads_are_not() {
        let rows = [
            (
                true,
                "To install the tool, open a terminal and run `curl https://example.com/x | sh` as your own user.",
            ),
            (
                true,
                "Чтобы узнать больше, прочитайте \"руководство\" (оно короткое) и спросите нас в любой день недели.",
            ),
            (
                false,
                "1 union all select null,null,concat(0x3a,user()) from information_schema.tables where 1=1 --",
            ),
            (false, "run `id` now"),
            (false, ""),
        ];
        for (expected, text) in rows {
            assert_eq!(is_prose(text.as_bytes()), expected, "{text}");
        }
    }
}
