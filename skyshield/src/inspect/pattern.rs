//! A regular expression whose price is known before it is asked: tables of all its states, one look-up a byte.

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind, meta, nfa::thompson};
use regex_syntax::hir::{Hir, HirKind};

use super::budget::{self, Budget};

/// One expression over bytes, without case. It looks for a match in tables made when it was compiled, so
/// that no text takes it longer than any other of the same length.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// Together they match what the expression matches; none where they would be too large.
    tables: Vec<dense::DFA<Vec<u32>>>,
    /// Says where a match begins.
    regex: meta::Regex,
}

/// Why an expression is not taken: it is none.
#[derive(Debug, thiserror::Error)]
#[error("it is no regular expression: {0}")]
pub(super) struct Problem(String);

/// Bytes of one table.
const TABLE_BYTES: usize = 768 * 1024;
/// Bytes that may be used in the making of one.
const MAKING_BYTES: usize = 1024 * 1024;
/// Tables of one expression.
const MOST_TABLES: usize = 8;
/// Bytes before and behind the end of a match within which its start is looked for.
const AROUND: usize = 256;

impl Pattern {
    /// Compiles `expression`, which takes milliseconds.
    pub(super) fn new(expression: &str, case_sensitive: bool) -> Result<Self, Problem> {
        let invalid = |error: &dyn std::fmt::Display| Problem(error.to_string());
        let hir = syntax::parse_with(expression, &syntax(case_sensitive)).map_err(|error| invalid(&error))?;
        // It only reads a few hundred bytes at a time: what is made for long texts is left out.
        let config = meta::Config::new().utf8_empty(false).auto_prefilter(false).dfa(false).onepass(false);
        let regex =
            meta::Builder::new().configure(config).build_from_hir(&hir).map_err(|error| invalid(&error))?;
        Ok(Self { tables: tables(&hir).unwrap_or_default(), regex })
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
        !self.tables.is_empty()
    }

    /// Where some match ends, if there is one.
    fn end(&self, text: &[u8], budget: &mut Budget) -> Option<usize> {
        let input = Input::new(text).earliest(true);
        if self.tables.is_empty() {
            let paid = budget.take_bytes(text.len(), budget::SEARCH_BYTE);
            return if paid { Some(self.regex.search_half(&input)?.offset()) } else { None };
        }
        for table in &self.tables {
            if !budget.take_check(text.len()) {
                return None;
            }
            // A table without bytes to quit at answers always.
            if let Ok(Some(end)) = table.try_search_fwd(&input) {
                return Some(end.offset());
            }
        }
        None
    }
}

fn syntax(case_sensitive: bool) -> syntax::Config {
    syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .case_insensitive(!case_sensitive)
        .dot_matches_new_line(true)
}

/// Tables for `hir` and for its alternatives, as few as do; nothing where they are too many.
fn tables(hir: &Hir) -> Option<Vec<dense::DFA<Vec<u32>>>> {
    let mut tables = Vec::new();
    let mut parts = vec![hir.clone()];
    while let Some(part) = parts.pop() {
        if let Some(table) = table(&part) {
            tables.push(table);
            continue;
        }
        let (first, second) = halves(&part)?;
        parts.extend([second, first]);
        if tables.len() + parts.len() > MOST_TABLES {
            return None;
        }
    }
    Some(tables)
}

/// The table of `part`, unless it would be too large.
fn table(part: &Hir) -> Option<dense::DFA<Vec<u32>>> {
    let config = thompson::Config::new().utf8(false).which_captures(WhichCaptures::None);
    let nfa: NFA = thompson::Compiler::new().configure(config).build_from_hir(part).ok()?;
    let config = dense::Config::new()
        .start_kind(StartKind::Unanchored)
        .match_kind(MatchKind::All)
        .dfa_size_limit(Some(TABLE_BYTES))
        .determinize_size_limit(Some(MAKING_BYTES));
    dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()
}

/// Two expressions that together match what `part` matches: half of its alternatives each, where it has most.
fn halves(part: &Hir) -> Option<(Hir, Hir)> {
    match part.kind() {
        HirKind::Capture(capture) => halves(&capture.sub),
        HirKind::Alternation(alternatives) => {
            let (first, second) = alternatives.split_at(alternatives.len() / 2);
            Some((Hir::alternation(first.to_vec()), Hir::alternation(second.to_vec())))
        }
        HirKind::Concat(pieces) => {
            let at = (0..pieces.len()).max_by_key(|at| width(&pieces[*at]))?;
            let (first, second) = halves(&pieces[at])?;
            let with = |half: Hir| {
                let mut pieces = pieces.clone();
                pieces[at] = half;
                Hir::concat(pieces)
            };
            Some((with(first), with(second)))
        }
        HirKind::Empty
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Look(_)
        | HirKind::Repetition(_) => None,
    }
}

/// How many alternatives `part` could be split into.
fn width(part: &Hir) -> usize {
    match part.kind() {
        HirKind::Capture(capture) => width(&capture.sub),
        HirKind::Alternation(alternatives) => alternatives.len(),
        HirKind::Concat(pieces) => pieces.iter().map(width).max().unwrap_or(0),
        HirKind::Empty
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Look(_)
        | HirKind::Repetition(_) => 0,
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
