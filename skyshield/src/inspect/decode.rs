//! Readings of one value: what the application sees, and what hides below its encodings.

use std::borrow::Cow;

use super::budget::Budget;
use super::byteset::{ByteSet, bits};

pub(super) mod base64;
pub(super) mod escape;
mod html;
mod lookup;
mod path;
mod percent;
mod shell;
mod sql;
mod wide;

/// How a value was written where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is: JSON strings after their escapes, header values.
    Plain,
    /// Percent signs, as in a path or a cookie.
    Percent,
    /// Percent signs, and `+` for a space, as in a query or a form.
    Form,
}

/// A set of readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Views(u8);

impl Views {
    /// One layer of the place's own encoding: what an application is handed.
    pub(super) const BASE: Self = Self(1);
    /// All layers of percent signs, `%u`, script escapes, overlong and full-width characters.
    pub(super) const DEEP: Self = Self(2);
    /// Deep, with HTML entities resolved.
    pub(super) const HTML: Self = Self(4);
    /// Deep, with SQL comments as white space.
    pub(super) const SQL: Self = Self(8);
    /// Deep, with shell quoting and empty expansions taken out.
    pub(super) const SHELL: Self = Self(16);
    /// Deep, with `${…}` nesting resolved.
    pub(super) const LOOKUP: Self = Self(32);
    /// Deep, with one kind of slash and nothing between the dots.
    pub(super) const PATH: Self = Self(64);

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[cfg(test)]
    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// How many views there are.
    pub(super) const COUNT: usize = 7;

    /// The views in the set, each as its number.
    pub(super) fn numbers(self) -> impl Iterator<Item = usize> {
        bits(self.0.into())
    }
}

/// One reading of a value, and which views it is.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) set: ByteSet,
    pub(super) views: Views,
}

impl<'a> Text<'a> {
    fn new(bytes: Cow<'a, [u8]>, views: Views) -> Self {
        let set = ByteSet::scan(&bytes);
        Self { bytes, set, views }
    }
}

/// One disguise, and what takes it off.
struct Pass {
    /// Steps for each byte that is read.
    price: u64,
    /// Whether a text of these bytes can wear it at all.
    wakes: fn(ByteSet) -> bool,
    /// The text without it, or nothing where it has none. The set is that of the text.
    read: fn(&[u8], ByteSet) -> Option<Vec<u8>>,
}

impl Pass {
    /// The text without the disguise, if it wears it and `budget` has room to look.
    fn over(&self, text: &[u8], set: ByteSet, budget: &mut Budget) -> Option<Vec<u8>> {
        let looks = (self.wakes)(set) && budget.take_bytes(text.len(), self.price);
        if looks { (self.read)(text, set) } else { None }
    }
}

/// The distinct readings of `value`, at most seven, none much longer than the value.
/// `depth` bounds the layers taken off; the flag tells that there were more.
pub(super) fn texts<'v>(
    value: &'v [u8],
    encoding: Encoding,
    depth: usize,
    budget: &mut Budget,
) -> (Vec<Text<'v>>, bool) {
    let mut texts = Vec::with_capacity(2);
    let mut base = Text::new(Cow::Borrowed(value), Views::BASE);
    if let Some(decoded) = first_layer(&base, encoding, budget) {
        base = Text::new(Cow::Owned(decoded), Views::BASE);
    }
    texts.push(base);
    let cut = deepen(&mut texts, depth, budget);
    let deep = texts.len() - 1;
    let from = &texts[deep];
    let (bytes, set) = (&from.bytes, from.set);
    let derived = [
        (Views::HTML, html::ENTITIES.over(bytes, set, budget)),
        (Views::SQL, sql::COMMENTS.over(bytes, set, budget)),
        (Views::SHELL, shell::QUOTING.over(bytes, set, budget)),
        (Views::LOOKUP, lookup::LOOKUPS.over(bytes, set, budget)),
        (Views::PATH, path::SLASHES.over(bytes, set, budget)),
    ];
    for (view, decoded) in derived {
        match decoded {
            Some(bytes) => share(&mut texts, bytes, view),
            None => texts[deep].views = texts[deep].views.and(view),
        }
    }
    (texts, cut)
}

/// The text with its HTML entities resolved, where it has any.
pub(super) fn entities(text: &[u8]) -> Option<Vec<u8>> {
    html::decode(text)
}

fn first_layer(value: &Text<'_>, encoding: Encoding, budget: &mut Budget) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Plain => None,
        Encoding::Percent => percent::PERCENT.over(&value.bytes, value.set, budget),
        Encoding::Form => percent::FORM.over(&value.bytes, value.set, budget),
    }
}

/// Takes off layers until nothing changes; returns whether `depth` stopped it.
fn deepen(texts: &mut Vec<Text<'_>>, depth: usize, budget: &mut Budget) -> bool {
    let mut deep: Option<Text<'_>> = None;
    let mut cut = false;
    for layer in 0..=depth {
        let from = deep.as_ref().unwrap_or(&texts[0]);
        let Some(next) = layer_below(from, budget) else { break };
        if layer == depth {
            cut = true;
            break;
        }
        deep = Some(Text::new(Cow::Owned(next), Views::DEEP));
    }
    match deep {
        Some(text) => texts.push(Text { bytes: Cow::Owned(text.bytes.into_owned()), ..text }),
        None => texts[0].views = texts[0].views.and(Views::DEEP),
    }
    cut
}

fn layer_below(text: &Text<'_>, budget: &mut Budget) -> Option<Vec<u8>> {
    let mut next = percent::PERCENT.over(&text.bytes, text.set, budget);
    for pass in [escape::SCRIPT, wide::WIDE] {
        let decoded = match &next {
            Some(bytes) => pass.over(bytes, ByteSet::scan(bytes), budget),
            None => pass.over(&text.bytes, text.set, budget),
        };
        next = decoded.or(next);
    }
    next
}

/// Adds a reading, or marks the one that has the same bytes.
fn share(texts: &mut Vec<Text<'_>>, bytes: Vec<u8>, view: Views) {
    match texts.iter_mut().find(|text| *text.bytes == *bytes) {
        Some(text) => text.views = text.views.and(view),
        None => texts.push(Text::new(Cow::Owned(bytes), view)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inspect::Limits;

    fn budget() -> Budget {
        Budget::new(&Limits::default())
    }

    fn read(value: &str, encoding: Encoding, view: Views) -> String {
        let (texts, _) = texts(value.as_bytes(), encoding, 4, &mut budget());
        let text = texts.iter().find(|text| text.views.meets(view)).expect("each view has a text");
        String::from_utf8_lossy(&text.bytes).into_owned()
    }

    #[test]
    fn each_view_takes_off_its_own_disguise() {
        let rows = [
            ("plus and percent", "a+b%20c", Views::BASE, "a b c"),
            ("double percent", "%253Cscript%253E", Views::DEEP, "<script>"),
            ("the base has one layer only", "%253C", Views::BASE, "%3C"),
            ("%u escapes", "%u003cb%u2215", Views::DEEP, "<b/"),
            ("overlong dots", "%c0%ae%c0%ae/", Views::DEEP, "../"),
            ("script escapes", r"\x3cb\u003e", Views::DEEP, "<b>"),
            ("entities", "&#x6a;ava&colon;&lt;", Views::HTML, "java:<"),
            ("an entity beyond all numbers", "&#99999999999;", Views::HTML, "?"),
            ("comments in SQL", "union/**/all/*x*/select", Views::SQL, "union all select"),
            ("versioned comments", "/*!50000union*/ select", Views::SQL, " union  select"),
            ("shell quoting", "c''a\"\"t /e\\tc", Views::SHELL, "cat /etc"),
            ("shell white space", "cat${IFS}/etc", Views::SHELL, "cat /etc"),
            ("nested lookups", "${${lower:j}ndi:${::-l}dap", Views::LOOKUP, "${jndi:ldap"),
            ("slashes", "..\\..//./x", Views::PATH, "../../x"),
        ];
        for (what, value, view, expected) in rows {
            assert_eq!(read(value, Encoding::Form, view), expected, "{what}");
        }
    }

    #[test]
    fn a_plain_word_has_one_reading() {
        let (texts, cut) = texts(b"hello world", Encoding::Form, 4, &mut budget());
        assert_eq!(texts.len(), 1);
        assert!(!cut);
    }

    #[test]
    fn layers_beyond_the_depth_are_told() {
        let (_, cut) = texts(b"%252525252525253C", Encoding::Form, 3, &mut budget());
        assert!(cut);
    }

    proptest! {
        #[test]
        fn any_value_is_read_within_bounds(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            noisy in "[%u0-9a-f\\\\${}&#;/*x'\"+.-]{0,300}",
        ) {
            for value in [bytes.as_slice(), noisy.as_bytes()] {
                for encoding in [Encoding::Plain, Encoding::Percent, Encoding::Form] {
                    let (texts, _) = texts(value, encoding, 4, &mut budget());
                    prop_assert!(texts.len() <= 7);
                    prop_assert!(texts.iter().all(|text| text.bytes.len() <= value.len() * 2 + 8));
                }
            }
        }
    }
}
