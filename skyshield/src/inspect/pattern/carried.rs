//! The tables of the built-in rules, as the build script left them: read where they lie, never copied.

use regex_automata::dfa::dense;

/// Bytes where words may be read.
#[repr(C, align(8))]
struct Aligned<B: ?Sized>(B);

static BYTES: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/patterns.bin")));

/// Where the tables of each expression begin, in the order of the expressions.
#[expect(clippy::unreadable_literal, reason = "written by the build script, and read by nobody else")]
static PLACES: &[(&str, &[usize])] = include!(concat!(env!("OUT_DIR"), "/patterns.rs"));

/// Those of `expression`; none where it is no built-in rule's.
pub(super) fn tables(expression: &str) -> Option<Vec<dense::DFA<&'static [u32]>>> {
    let at = PLACES.binary_search_by_key(&expression, |(known, _)| *known).ok()?;
    let (_, starts) = PLACES.get(at)?;
    let table = |start: &usize| dense::DFA::from_bytes(BYTES.0.get(*start..)?).ok().map(|(table, _)| table);
    starts.iter().map(table).collect()
}
