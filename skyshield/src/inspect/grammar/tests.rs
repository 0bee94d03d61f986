//! The grammars beside `libinjection`, which is a stranger to them and serves as a second opinion.

use libinjectionrs::{detect_sqli, detect_xss};
use proptest::prelude::*;

use super::markup;
use crate::inspect::built_in_rules;

fn sql(text: &[u8]) -> bool {
    super::sql(text).is_some()
}

/// That neither claims anything.
fn assert_both_silent(text: &str) {
    let bytes = text.as_bytes();
    let said =
        [sql(bytes), detect_sqli(bytes).is_injection(), markup(bytes), detect_xss(bytes).is_injection()];
    assert_eq!(said, [false; 4], "SQL, and the stranger's; HTML, and the stranger's: {text}");
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
    for text in HONEST {
        assert_both_silent(text);
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

/// Where the stranger takes a sign of honest text for an operator.
#[test]
fn what_the_stranger_claims_wrongly_is_not_claimed() {
    for text in ["70% (sale)", "30% (net)"] {
        assert!(detect_sqli(text.as_bytes()).is_injection() && !sql(text.as_bytes()), "{text}");
    }
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
        words in proptest::collection::vec("[A-Za-z]{3,9}[,.!?]?|[0-9]{1,4}|[A-Z][a-z]{2,6}'s|[a-z]{2,5}-[a-z]{2,5}", 1..14),
    ) {
        assert_both_silent(&words.join(" "));
    }

    /// What forms are filled with: addresses, amounts, dates, links.
    #[test]
    fn neither_claims_anything_of_what_forms_are_filled_with(
        pieces in proptest::collection::vec(
            "[A-Z][a-z]{2,9}|[a-z]{3,9}@[a-z]{3,9}\\.example|[0-9]{1,4}\\.[0-9]{2}|20[0-2][0-9]-[01][0-9]-[0-3][0-9]|[0-9]{2}:[0-9]{2}|https://[a-z]{3,9}\\.example/[a-z]{1,9}|\\+[0-9]{2} [0-9]{3} [0-9]{4}|[A-Z]{2}[0-9]{2,6}",
            1..10,
        ),
    ) {
        assert_both_silent(&pieces.join(" "));
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
