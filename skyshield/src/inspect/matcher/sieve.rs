//! The first test of a text, of all rules at once: by where it stands, how it was read, and which bytes it holds.

use super::{Compiled, RuleSet};
use crate::inspect::decode::{Text, Views};
use crate::inspect::values::Parts;

/// For each part, each view and each byte the rules that it lets through. A text asks of each byte it holds once,
/// which are few, instead of each rule whether it holds one of many.
#[derive(Debug)]
pub(super) struct Sieve {
    parts: [RuleSet; Parts::COUNT],
    views: [RuleSet; Views::COUNT],
    /// Of a rule's two sets of bytes: the rules in whose first the byte is, and those in whose second.
    bytes: Box<[[RuleSet; 2]; 256]>,
}

impl Sieve {
    pub(super) fn new(rules: &[Compiled]) -> Self {
        let mut sieve =
            Self { parts: [0; Parts::COUNT], views: [0; Views::COUNT], bytes: Box::new([[0; 2]; 256]) };
        for (bit, rule) in rules.iter().enumerate() {
            let mask: RuleSet = 1 << bit;
            rule.gate.parts.numbers().for_each(|part| sieve.parts[part] |= mask);
            rule.gate.views.numbers().for_each(|view| sieve.views[view] |= mask);
            for (which, set) in rule.gate.needs.iter().enumerate() {
                set.bytes().for_each(|byte| sieve.bytes[usize::from(byte)][which] |= mask);
            }
        }
        sieve
    }

    /// The rules whose part, reading and byte sets fit.
    pub(super) fn possible(&self, part: Parts, text: &Text<'_>) -> RuleSet {
        let parts = part.numbers().fold(0, |rules, part| rules | self.parts[part]);
        let views = text.views.numbers().fold(0, |rules, view| rules | self.views[view]);
        let [mut first, mut second] = [0; 2];
        text.set.bytes().for_each(|byte| {
            let [in_first, in_second] = self.bytes[usize::from(byte)];
            first |= in_first;
            second |= in_second;
        });
        parts & views & first & second
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::inspect::byteset::ByteSet;
    use crate::inspect::rules;

    proptest! {
        #[test]
        fn it_lets_through_whom_the_gates_let_through(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            part in prop::sample::select(vec![Parts::PATH, Parts::FIELD, Parts::AGENT, Parts::FILENAME]),
            view in prop::sample::select(vec![Views::BASE, Views::DEEP.and(Views::SQL), Views::PATH]),
        ) {
            static RULES: std::sync::LazyLock<Vec<Compiled>> =
                std::sync::LazyLock::new(|| rules::all().filter_map(Compiled::built_in).collect());
            let text = Text { set: ByteSet::scan(&bytes), bytes: Cow::Owned(bytes), views: view };
            let expected = RULES.iter().enumerate().fold(0, |rules, (bit, rule)| {
                rules | RuleSet::from(rule.gate.opens(part, &text)) << bit
            });
            prop_assert_eq!(Sieve::new(&RULES).possible(part, &text), expected);
        }
    }
}
