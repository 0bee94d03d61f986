//! A regular expression whose price is known before it is asked: tables of all its states, one look-up a byte.

mod carried;
mod tables;

use regex_automata::dfa::{Automaton as _, dense};
use regex_automata::util::syntax;
use regex_automata::{HalfMatch, Input, meta};
use regex_syntax::hir::Hir;

use super::budget::{self, Budget};

/// One expression over bytes, without case. It looks for a match in tables made when it was compiled, so
/// that no text takes it longer than any other of the same length.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    tables: Tables,
    /// Says where a match begins.
    regex: meta::Regex,
}

/// Tables that together match what an expression matches; none where they would be too large.
#[derive(Clone, Debug)]
enum Tables {
    /// In the daemon's own file since it was built.
    Carried(Vec<dense::DFA<&'static [u32]>>),
    Made(Vec<dense::DFA<Vec<u32>>>),
}

impl Tables {
    fn len(&self) -> usize {
        match self {
            Self::Carried(tables) => tables.len(),
            Self::Made(tables) => tables.len(),
        }
    }

    /// Where some match of one of them ends, if there is one.
    fn search(&self, at: usize, input: &Input<'_>) -> Option<HalfMatch> {
        // A table without bytes to quit at answers always.
        match self {
            Self::Carried(tables) => tables.get(at)?.try_search_fwd(input).ok()?,
            Self::Made(tables) => tables.get(at)?.try_search_fwd(input).ok()?,
        }
    }
}

/// Why an expression is not taken: it is none.
#[derive(Debug, thiserror::Error)]
#[error("it is no regular expression: {0}")]
pub(super) struct Problem(String);

/// Bytes before and behind the end of a match within which its start is looked for.
const AROUND: usize = 256;

impl Pattern {
    /// That of a built-in rule, whose tables were made when the daemon was built.
    pub(super) fn built_in(expression: &str) -> Result<Self, Problem> {
        match carried::tables(expression) {
            Some(tables) => Self::with(expression, false, |_| Tables::Carried(tables)),
            None => Self::new(expression, false),
        }
    }

    /// Compiles `expression`, which takes milliseconds, and of some a second.
    pub(super) fn new(expression: &str, case_sensitive: bool) -> Result<Self, Problem> {
        Self::with(expression, case_sensitive, |hir| Tables::Made(tables::tables(hir).unwrap_or_default()))
    }

    fn with(
        expression: &str,
        case_sensitive: bool,
        tables: impl FnOnce(&Hir) -> Tables,
    ) -> Result<Self, Problem> {
        let invalid = |error: &dyn std::fmt::Display| Problem(error.to_string());
        let syntax = tables::syntax(case_sensitive);
        let hir = syntax::parse_with(expression, &syntax).map_err(|error| invalid(&error))?;
        // It only reads a few hundred bytes at a time: what is made for long texts is left out.
        let config = meta::Config::new().utf8_empty(false).auto_prefilter(false).dfa(false).onepass(false);
        let regex =
            meta::Builder::new().configure(config).build_from_hir(&hir).map_err(|error| invalid(&error))?;
        Ok(Self { tables: tables(&hir), regex })
    }

    /// Whether it matches in `text`, as far as `budget` has room to look. Without room nothing else has any.
    pub(super) fn is_match(&self, text: &[u8], budget: &mut Budget) -> bool {
        self.end(text, budget).is_some()
    }

    /// The bytes of the first match. A match of more than some hundred bytes is shown by its end.
    pub(super) fn find<'t>(&self, text: &'t [u8], budget: &mut Budget) -> Option<&'t [u8]> {
        let end = self.end(text, budget)?;
        let window = end.saturating_sub(AROUND)..text.len().min(end + AROUND);
        let shown = end.saturating_sub(AROUND)..end;
        // The claim stands in any case; only where it begins is not worth the last steps.
        let found = budget
            .affords(budget::LOCATE)
            .then(|| self.regex.search(&Input::new(text).range(window)))
            .flatten();
        Some(&text[found.map_or(shown, |found| found.range())])
    }

    /// Whether it looks for matches in tables, whose price holds for every text.
    #[cfg(test)]
    pub(super) fn has_tables(&self) -> bool {
        self.tables.len() > 0
    }

    /// Whether these were made when the daemon was built.
    #[cfg(test)]
    pub(super) fn is_carried(&self) -> bool {
        matches!(self.tables, Tables::Carried(_))
    }

    /// Where some match ends, if there is one.
    fn end(&self, text: &[u8], budget: &mut Budget) -> Option<usize> {
        let input = Input::new(text).earliest(true);
        if self.tables.len() == 0 {
            let paid = budget.take_bytes(text.len(), budget::SEARCH_BYTE);
            return if paid { Some(self.regex.search_half(&input)?.offset()) } else { None };
        }
        for at in 0..self.tables.len() {
            if !budget.take_check(text.len()) {
                return None;
            }
            if let Some(end) = self.tables.search(at, &input) {
                return Some(end.offset());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inspect::Limits;

    fn budget() -> Budget {
        Budget::new(&Limits { steps: u64::MAX, ..Limits::default() })
    }

    #[test]
    fn a_match_is_shown_from_its_start() {
        let pattern = Pattern::new(r"\bunion\s+select\b|x{3,}$", false).expect("it compiles");
        let rows = [
            ("1 UNION  SELECT 2", Some("UNION  SELECT")),
            ("reunion select", None),
            ("axxx", Some("xxx")),
            ("xxxa", None),
        ];
        for (text, expected) in rows {
            let found = pattern.find(text.as_bytes(), &mut budget());
            assert_eq!(found, expected.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn a_long_match_is_shown_by_its_end_and_a_poor_budget_shows_no_less() {
        let pattern = Pattern::new("a.*b", false).expect("it compiles");
        let text = format!("a{}b", "-".repeat(1000));
        let found = pattern.find(text.as_bytes(), &mut budget()).expect("a match");
        assert!(text.as_bytes().ends_with(found) && found.len() == AROUND);
        let mut poor = Budget::new(&Limits { steps: 3000, ..Limits::default() });
        assert!(pattern.find(text.as_bytes(), &mut poor).is_some());
        assert!(
            pattern
                .find(text.as_bytes(), &mut Budget::new(&Limits { steps: 9, ..Limits::default() }))
                .is_none()
        );
    }

    #[test]
    fn what_does_not_fit_one_table_is_split_and_what_fits_none_is_dearer() {
        let split =
            Pattern::new(r"<(?:[ab][^>]*?\bx.{12}y|[cd][^>]*?\bz.{12}w)", false).expect("it compiles");
        assert!(split.tables.len() > 1);
        for (text, expected) in
            [("<a  x............y", true), ("<c >z............w", false), ("<d -z............w", true)]
        {
            assert_eq!(split.is_match(text.as_bytes(), &mut budget()), expected, "{text}");
        }
        let large = Pattern::new("a.{0,400}b.{0,400}c", false).expect("it compiles");
        assert!(!large.has_tables() && large.is_match(b"x a b c", &mut budget()));
        assert!(!large.is_match(b"x a c", &mut budget()));
        assert!(Pattern::new("(a", false).is_err());
    }

    proptest! {
        /// The tables say what the library's own search says.
        #[test]
        fn tables_and_regex_agree(text in "(<|a|b|on|=|'| |x){0,40}") {
            for expression in [r"<a[^>]*?\bon\w*\s*=", r"^[^<]*'\s*(?:on|x)\b|b{2,4}$", r"<(?:a.*b|x.*on)"] {
                let pattern = Pattern::new(expression, false).expect("it compiles");
                let expected = pattern.regex.is_match(text.as_bytes());
                prop_assert_eq!(pattern.is_match(text.as_bytes(), &mut budget()), expected);
                let found = pattern.find(text.as_bytes(), &mut budget());
                prop_assert_eq!(found, pattern.regex.find(text.as_bytes()).map(|found| &text.as_bytes()[found.range()]));
            }
        }
    }
}
