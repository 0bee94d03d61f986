//! The SQL and HTML tokenizers: what a text would do inside a statement or a page.

mod html;
mod sql;

use super::budget::Budget;
use super::limits::Limits;

/// The part of `text` that a grammar may read, if the budget has room for it at `price` steps a byte.
pub(super) fn head<'t>(text: &'t [u8], price: u64, limits: &Limits, budget: &mut Budget) -> Option<&'t [u8]> {
    let head = match text.get(..limits.grammar_bytes) {
        Some(head) if head.len() < text.len() => {
            budget.reach("grammar_bytes");
            head
        }
        _ => text,
    };
    budget.take_grammar(head.len(), price).then_some(head)
}

/// What speaks in `text` where the SQL grammar sees an injection: not what a comment takes away.
pub(super) fn sql(text: &[u8]) -> Option<&[u8]> {
    sql::injection(text)
}

/// What stands before the comment of SQL's that takes the rest of `text` away.
pub(super) fn before_comment(text: &[u8]) -> &[u8] {
    sql::before_comment(text)
}

/// Whether the HTML grammar sees markup that could run.
pub(super) fn markup(text: &[u8]) -> bool {
    html::runs(text)
}

#[cfg(test)]
mod tests;
