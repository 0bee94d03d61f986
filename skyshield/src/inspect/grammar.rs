//! The SQL and HTML tokenizers: what a text would do inside a statement or a page.

use std::panic::{AssertUnwindSafe, catch_unwind};

use libinjectionrs::{detect_sqli, detect_xss};

use super::budget::Budget;
use super::limits::Limits;

/// The part of `text` that a grammar may read, if the budget has room for it.
pub(super) fn head<'t>(text: &'t [u8], limits: &Limits, budget: &mut Budget) -> Option<&'t [u8]> {
    let head = match text.get(..limits.grammar_bytes) {
        Some(head) if head.len() < text.len() => {
            budget.reach("grammar_bytes");
            head
        }
        _ => text,
    };
    budget.take_grammar(head.len()).then_some(head)
}

/// How sure the SQL grammar is, as a factor; nothing where it sees no injection.
pub(super) fn sql(text: &[u8]) -> Option<f64> {
    // The tokenizer is a port that indexes slices: a mistake in it must cost one finding, not the daemon.
    let result = catch_unwind(AssertUnwindSafe(|| detect_sqli(text))).ok()?;
    if !result.is_injection() {
        return None;
    }
    let is_prose = result.fingerprint.is_none_or(|fingerprint| has_prose_shape(fingerprint.as_str(), text));
    Some(if is_prose { 0.5 } else { 1.0 })
}

/// Whether honest text has this shape too. A letter is a token: `n` a bare word, `k` a key word, `f` a function,
/// `s` a string, `1` a number, `o` an operator, `&` a logical one.
fn has_prose_shape(shape: &str, text: &[u8]) -> bool {
    let opens_with_words = ["n", "k", "1n", "f(n", "f(f"].iter().any(|words| shape.starts_with(words));
    // A quoted word between two others: exact search, inches, emphasis. An injection here is short and
    // breaks out of single quotes.
    let quotes =
        ["sos", "s&s", "son"].contains(&shape) || (shape.starts_with("son") && !text.starts_with(b"'"));
    shape.len() <= 2 || opens_with_words || (quotes && (text.len() > 40 || !text.contains(&b'\'')))
}

/// Whether the HTML grammar sees markup that could run.
pub(super) fn markup(text: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| detect_xss(text).is_injection())).unwrap_or(false)
}
