//! Which rules a text could match, cheaply, and which of those it does.

mod compiled;
mod sieve;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};

use super::budget::{self, Budget};
use super::byteset::ByteSet;
use super::decode::{Text, base64};
use super::limits::Limits;
use super::rules;
use super::values::Parts;

pub(super) use compiled::{Check, Compiled, Gate, Scope};
use sieve::Sieve;

/// A rule that a text matched.
pub(super) struct Hit<'a> {
    pub(super) rule: &'a Compiled,
    pub(super) confidence: f64,
    pub(super) matched: &'a [u8],
}

/// A set of rules, one bit each.
type RuleSet = u128;

/// Rules that one matcher holds at the most.
pub(super) const MOST: usize = RuleSet::BITS as usize;

/// The rules compiled: byte sets, then one search for all words, then the checks.
#[derive(Debug)]
pub(super) struct Matcher {
    rules: Vec<Compiled>,
    sieve: Sieve,
    words: Option<AhoCorasick>,
    /// Per word, the rules that wait for it.
    waiting: Vec<RuleSet>,
    /// The rules that wait for no word.
    wordless: RuleSet,
}

/// Bytes one of which every attack holds, in any encoding; a text without them is not looked at further.
const MARKS: ByteSet = ByteSet::of(b"\0\t\n\r !\"#$%&'()*+/:;<=>@[\\]^`{|}~\x7f.-");

/// What attacks of nothing but letters and digits open with: serialised objects, and what objects inherit from.
const OPENINGS: [&[u8]; 5] = [b"__", b"rO0AB", b"gA", b"BAh", b"aced0005"];

/// Bytes of words up to which the search for them is a table of all states: quick, and large.
const DENSE_BYTES: usize = 16 * 1024;

impl Matcher {
    /// The built-in rules that `keep` lets through, as it leaves them. One that would not compile is left
    /// out; a test holds that none is.
    pub(super) fn built_in(keep: impl FnMut(Compiled) -> Option<Compiled>) -> Self {
        Self::new(rules::all().filter_map(Compiled::built_in).filter_map(keep).take(MOST).collect())
    }

    /// A matcher of `rules`, at most [`MOST`].
    pub(super) fn new(rules: Vec<Compiled>) -> Self {
        let mut spellings: Vec<String> = Vec::new();
        let mut waiting: Vec<RuleSet> = Vec::new();
        let mut wordless = 0;
        for (bit, compiled) in rules.iter().enumerate() {
            let mask: RuleSet = 1 << bit;
            if compiled.words.is_empty() {
                wordless |= mask;
            }
            for word in &compiled.words {
                let word = word.to_ascii_lowercase();
                if let Some(known) = spellings.iter().position(|known| *known == word) {
                    waiting[known] |= mask;
                } else {
                    spellings.push(word);
                    waiting.push(mask);
                }
            }
        }
        let is_small = spellings.iter().map(String::len).sum::<usize>() <= DENSE_BYTES;
        let words = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(is_small.then_some(AhoCorasickKind::DFA))
            .build(&spellings)
            .ok();
        Self { sieve: Sieve::new(&rules), rules, words, waiting, wordless }
    }

    /// Whether `text` is only letters, digits and the like.
    pub(super) fn is_dull(&self, text: &[u8]) -> bool {
        let set = ByteSet::scan(text);
        self.rules.is_empty()
            || !(set.meets(MARKS)
                || set.beyond_ascii()
                || OPENINGS.iter().any(|opening| text.starts_with(opening))
                || base64::opens(text))
    }

    /// Calls `hit` with each rule that `text` matches. `base` is what the application was handed;
    /// `is_json` keeps the grammars away from a text whose strings are read one by one.
    #[expect(clippy::too_many_arguments, reason = "one call site; each is borrowed from another owner")]
    pub(super) fn matches(
        &self,
        part: Parts,
        text: &Text<'_>,
        base: &Text<'_>,
        is_json: bool,
        limits: &Limits,
        budget: &mut Budget,
        mut hit: impl FnMut(Hit<'_>),
    ) {
        let mut left = self.sieve.possible(part, text);
        if left & !self.wordless != 0 {
            left &= self.wordless | self.worded(&text.bytes, left & !self.wordless, budget);
        }
        while left != 0 {
            let compiled = &self.rules[left.trailing_zeros() as usize];
            left &= left - 1;
            let claim = compiled.check(text, base, is_json, limits, budget);
            if let Some((confidence, matched)) = claim {
                if !budget.take(budget::CLAIM) {
                    return;
                }
                let confidence = compiled.talked_down(confidence, &text.bytes);
                hit(Hit { rule: compiled, confidence, matched });
            }
        }
    }

    /// Those of `wanted` one of whose words is there.
    fn worded(&self, text: &[u8], wanted: RuleSet, budget: &mut Budget) -> RuleSet {
        let Some(words) = &self.words else { return RuleSet::MAX };
        let mut found = 0;
        for word in words.find_overlapping_iter(text) {
            found |= self.waiting[word.pattern().as_usize()];
            if found & wanted == wanted || !budget.take(budget::WORD) {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inspect::decode::{self, Encoding};

    /// Compares what the prefilter lets through with a check of every rule.
    fn assert_nothing_is_filtered_away(matcher: &Matcher, value: &str) {
        let limits = Limits { steps: u64::MAX, ..Limits::default() };
        let mut budget = Budget::new(&limits);
        let (texts, _) = decode::texts(value.as_bytes(), Encoding::Form, limits.decode_depth, &mut budget);
        for text in &texts {
            for part in [
                Parts::PATH,
                Parts::QUERY,
                Parts::TEXT,
                Parts::COOKIE,
                Parts::BROWSER,
                Parts::FILE,
                Parts::FILENAME,
                Parts::AGENT,
                Parts::REFERER,
                Parts::SEGMENT,
                Parts::LOGIN,
            ] {
                let mut quick = Vec::new();
                matcher.matches(part, text, &texts[0], false, &limits, &mut budget, |hit| {
                    quick.push(hit.rule.id.clone());
                });
                let reaches =
                    |rule: &Compiled| rule.gate.parts.meets(part) && rule.gate.views.meets(text.views);
                let all = matcher.rules.iter().filter(|compiled| reaches(compiled));
                let mut slow: Vec<_> = all
                    .filter(|compiled| {
                        matches!(compiled.check, Check::Pattern(_) | Check::Hidden(_) | Check::Structure(_))
                    })
                    .filter(|compiled| compiled.check(text, &texts[0], false, &limits, &mut budget).is_some())
                    .map(|compiled| compiled.id.clone())
                    .collect();
                quick.retain(|id| !id.ends_with(".grammar"));
                // Its bytes are part of what it claims: without one it would only repeat another rule.
                slow.retain(|id| id != "xss.script-url-split" || quick.contains(id));
                assert_eq!(quick, slow, "{value}");
            }
        }
    }

    #[test]
    fn every_built_in_rule_compiles() {
        for rule in rules::all() {
            let compiled = Compiled::built_in(rule);
            assert!(compiled.is_some(), "{} does not compile", rule.id);
            let Some(Check::Pattern(pattern) | Check::Hidden(pattern)) = compiled.map(|rule| rule.check)
            else {
                continue;
            };
            assert!(pattern.has_tables(), "{} is too large for tables", rule.id);
            assert!(
                pattern.is_carried(),
                "{}: the build script knows patterns by their raw strings",
                rule.id
            );
        }
        let matcher = Matcher::built_in(Some);
        assert_eq!(matcher.rules.len(), rules::all().count());
        assert!(matcher.words.is_some());
    }

    #[test]
    fn the_prefilter_loses_no_match() {
        let matcher = Matcher::built_in(Some);
        let pieces = [
            "union select 1,2",
            "' or 'a'='a",
            "1 or 1=1",
            "sleep(5)",
            "from information_schema.tables",
            "; drop table a",
            "into outfile '/a'",
            "extractvalue(1,2)",
            "xp_cmdshell",
            "order by 1--",
            "=(select 1 from a)",
            "and ascii(1)",
            "chr(1)||",
            "case when 1=1 then 1 else 2",
            "admin'--",
            "select * from a",
            "and 1=1--",
            "<script>",
            "<a onclick=",
            "\" onclick=a",
            "javascript:a(",
            "java\nscript:a(",
            "data:text/html,<a",
            "alert(1)",
            "document.cookie",
            "<iframe src=",
            "expression(alert",
            "{{1*2}}",
            "<img src=javascript:",
            "+adw-script",
            "<style>",
            "../../../",
            "/etc/passwd",
            "php://filter",
            "a.php\0",
            "/..../....//....//",
            "; wget a",
            "| cat /a",
            ";id",
            "a|id",
            "echo a > b",
            "$((1+2))",
            "/bin/sh",
            "$IFS",
            "() { :;}",
            "system('a')",
            "ping -c 1 a",
            "${jndi:",
            "${${lower:a}}",
            "${env:a}",
            "${::-j}${::-n}${::-d}",
        ];
        let examples: Vec<_> = rules::infos().flat_map(|info| info.attacks).collect();
        for example in &examples {
            assert_nothing_is_filtered_away(&matcher, example);
            assert_nothing_is_filtered_away(&matcher, &example.to_ascii_uppercase());
        }
        for first in pieces {
            assert_nothing_is_filtered_away(&matcher, first);
            assert_nothing_is_filtered_away(&matcher, &first.to_ascii_uppercase());
            for second in pieces {
                assert_nothing_is_filtered_away(&matcher, &format!("{first} {second}"));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_prefilter_loses_no_match_in_noise(
            text in "(union|select|sleep|script|alert|on[a-z]{5}|java|cat|id|etc|\\.\\./|[a-zA-Z0-9]{1,3}|['\"<>=();|&`$#/*: -]){0,30}",
        ) {
            static MATCHER: std::sync::LazyLock<Matcher> = std::sync::LazyLock::new(|| Matcher::built_in(Some));
            assert_nothing_is_filtered_away(&MATCHER, &text);
        }
    }
}
