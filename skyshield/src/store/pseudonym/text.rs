//! Addresses in free text, and names in its place.

use std::net::IpAddr;

use super::Pseudonyms;

impl Pseudonyms {
    /// `text` with a pseudonym wherever it says an address or a prefix; none where it says neither. What stands for no
    /// host in particular, or for this one, is nobody's.
    pub(in crate::store) fn over_addresses(&self, text: &str) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let (mut rest, mut is_changed) = (text, false);
        while let Some(at) = rest.find(begins_one) {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let length = from.find(|byte| !is_of_one(byte)).unwrap_or(from.len());
            let (mut word, mut after) = from.split_at(length);
            // What a query writes of a colon and a slash.
            let mut unescaped = word.to_owned();
            while let Some((escaped, plain)) = [("%3A", ":"), ("%3a", ":"), ("%2F", "/"), ("%2f", "/")]
                .into_iter()
                .find(|(escaped, _)| after.starts_with(escaped))
            {
                let behind = &after[escaped.len()..];
                let length = behind.find(|byte| !is_of_one(byte)).unwrap_or(behind.len());
                unescaped.push_str(plain);
                unescaped.push_str(&behind[..length]);
                let whole = word.len() + escaped.len() + length;
                (word, after) = from.split_at(whole);
            }
            match address_of(&unescaped).filter(|_| !goes_on(out.chars().next_back())) {
                Some((address, beyond)) => {
                    out.push_str(&self.of(address));
                    out.push_str(beyond);
                    is_changed = true;
                }
                None => out.push_str(word),
            }
            rest = after;
        }
        out.push_str(rest);
        is_changed.then_some(out)
    }
}

fn begins_one(letter: char) -> bool {
    letter.is_ascii_hexdigit() || letter == ':'
}

fn is_of_one(letter: char) -> bool {
    letter.is_ascii_hexdigit() || matches!(letter, '.' | ':' | '/')
}

/// Whether a word goes on that began before.
fn goes_on(preceding: Option<char>) -> bool {
    preceding.is_some_and(char::is_alphanumeric)
}

/// The address or the prefix that `word` begins with, as it is written, and what stands behind it: a port, the end of a
/// sentence.
fn address_of(word: &str) -> Option<(&str, &str)> {
    let is_somebody = |text: &str| {
        text.parse::<IpAddr>().is_ok_and(|address| !address.is_unspecified() && !address.is_loopback())
    };
    let is_one = |text: &str| match text.split_once('/') {
        Some((address, length)) => length.parse::<u8>().is_ok_and(|bits| bits <= 128) && is_somebody(address),
        None => is_somebody(text),
    };
    let ends = word.match_indices(['.', ':', '/']).map(|(at, _)| at).rev();
    std::iter::once(word.len()).chain(ends).map(|at| word.split_at(at)).find(|(text, _)| is_one(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_prefixes_stand_under_their_pseudonyms_and_nothing_else_does() {
        let pseudonyms = Pseudonyms::new(&[7; 32]);
        let over = |text: &str| pseudonyms.over_addresses(text);
        let of = |name: &str| pseudonyms.of(name);
        for (text, expected) in [
            ("203.0.113.7", of("203.0.113.7")),
            ("from 203.0.113.7, twice", format!("from {}, twice", of("203.0.113.7"))),
            ("It was 203.0.113.7.", format!("It was {}.", of("203.0.113.7"))),
            ("203.0.113.7:8080", format!("{}:8080", of("203.0.113.7"))),
            ("203.0.113.0/24", of("203.0.113.0/24")),
            ("?source=203.0.113.0%2F24&x", format!("?source={}&x", of("203.0.113.0/24"))),
            ("?source=2001%3Adb8%3a%3A1", format!("?source={}", of("2001:db8::1"))),
            ("\"2001:db8::1\"", format!("\"{}\"", of("2001:db8::1"))),
            ("source=192.0.2.1", format!("source={}", of("192.0.2.1"))),
        ] {
            assert_eq!(over(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "nothing",
            "12:30:45",
            "2026-11-28T12:30:45Z",
            "1.2.3",
            "add a face",
            "::",
            "127.0.0.1:9465",
            "0.0.0.0/0",
            "v203.0.113.7",
            "/api/v1/decisions",
        ] {
            assert_eq!(over(text), None, "{text}");
        }
    }
}
