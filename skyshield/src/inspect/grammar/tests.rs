//! The grammars beside `libinjection`, which is a stranger to them and serves as a second opinion.

use libinjectionrs::{detect_sqli, detect_xss};
use proptest::prelude::*;

use super::markup;
use crate::inspect::built_in_rules;

fn sql(text: &[u8]) -> bool {
    super::sql(text).is_some()
}

/// Attacks of the catalog, percent signs taken off.
fn attacks(class: &str) -> Vec<Vec<u8>> {
    let of = built_in_rules().filter(|rule| rule.id.starts_with(class));
    of.flat_map(|rule| rule.attacks).map(|attack| attack.as_bytes().to_vec()).collect()
}

/// What people write, quotes and signs and words of both languages among it.
const HONEST: &[&str] = &[
    "O'Brien",
    "rock 'n' roll or 'pop'",
    "the boys' and girls' team",
    "5'6 tall",
    "a or b",
    "Cats & dogs; more to come",
    "He said: \"yes\" and \"no\"",
    "price < 10 and > 5",
    "select a union from the list",
    "drop by at the table and order by noon",
    "2024-01-01 10:00:00",
    "a@b.example, c@d.example",
    "**bold** _it_ `code` [link](https://example.com)",
    "C++ & C#; the cat sat on the mat",
    "100% sure, 50%off",
    "{\"a\":\"b\",\"c\":[1,2,{\"d\":null}]}",
    "width=100;height=50",
    "(555) 123-4567 ext. 8",
    "x = y + z * 2",
    "Привет, мир; 你好",
];

#[test]
fn on_honest_text_both_are_silent() {
    for text in HONEST.iter().map(|text| text.as_bytes()) {
        let shown = String::from_utf8_lossy(text);
        assert!(!sql(text) && !detect_sqli(text).is_injection(), "{shown}");
        assert!(!markup(text) && !detect_xss(text).is_injection(), "{shown}");
    }
}

/// Where the stranger is blind: words that belong together, and names that end in white space.
#[test]
fn what_the_stranger_misses_is_seen() {
    for text in ["1' in boolean mode) union select 1--", "1' lock in share mode", "x' into outfile '/tmp/a"] {
        assert!(sql(text.as_bytes()), "{text}");
    }
    assert!(markup(b"<img src=x onerror\t=alert(1)>"));
}

/// The two need not see the same attacks, since rules see them too; but most of them.
#[test]
fn most_attacks_that_the_stranger_sees_are_seen() {
    let seen_by = |texts: &[Vec<u8>], one: fn(&[u8]) -> bool| texts.iter().filter(|text| one(text)).count();
    let texts = attacks("sqli.");
    let (own, other) = (seen_by(&texts, sql), seen_by(&texts, |text| detect_sqli(text).is_injection()));
    assert!(own * 10 >= other * 9, "{own} of SQL, the stranger {other}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Names, numbers, dates and sentences, quoted here and there: neither claims anything of them.
    #[test]
    fn neither_claims_anything_of_plain_words(
        words in proptest::collection::vec("[A-Za-z]{2,9}[,.!?]?|[0-9]{1,4}|[A-Z][a-z]{2,6}'s|[a-z]{2,5}-[a-z]{2,5}", 1..14),
    ) {
        let text = words.join(" ");
        prop_assert_eq!((sql(text.as_bytes()), markup(text.as_bytes())), (false, false));
    }

    #[test]
    fn any_bytes_are_read(
        raw in proptest::collection::vec(any::<u8>(), 0..200),
        like_sql in "(union|select|from|case|when|\\(|\\)|'|\"|--|/\\*|\\*/|;|,|or|and|=|1|a| |@|:=|\\$\\$|\\[){0,60}",
        like_html in "(<|>|/|=|'|\"|`|on|load|src|script| |a|\0|\t){0,60}",
    ) {
        for text in [raw.as_slice(), like_sql.as_bytes(), like_html.as_bytes()] {
            prop_assert_eq!(sql(text), sql(text));
            prop_assert_eq!(markup(text), markup(text));
        }
    }
}
