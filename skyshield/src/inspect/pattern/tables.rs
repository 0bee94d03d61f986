//! Tables of all states of an expression. The build script makes those of the built-in rules, which takes
//! seconds; the daemon those of operators'.

use regex_automata::MatchKind;
use regex_automata::dfa::{StartKind, dense};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::syntax;
use regex_syntax::hir::{Hir, HirKind};

/// Bytes of one table.
const TABLE_BYTES: usize = 768 * 1024;
/// Bytes that may be used in the making of one.
const MAKING_BYTES: usize = 1024 * 1024;
/// Tables of one expression.
const MOST_TABLES: usize = 8;

/// How expressions are read: bytes, and without case unless that is said.
pub(super) fn syntax(case_sensitive: bool) -> syntax::Config {
    syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .case_insensitive(!case_sensitive)
        .dot_matches_new_line(true)
}

/// Tables for `hir` and for its alternatives, as few as do; nothing where they are too many.
pub(super) fn tables(hir: &Hir) -> Option<Vec<dense::DFA<Vec<u32>>>> {
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
