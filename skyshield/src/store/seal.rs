//! A seal on each decision that is kept: `SQLite` tells a page that is no page, and not a flipped bit in an
//! address. A row whose seal does not fit is none, so that nobody is banned for what a disk made up.

use super::records::DecisionRow;
use super::rulings::RulingRow;
use crate::engine::behaviour::Key;

/// Against accidents, not against people: whoever may write the file may do worse.
const KEY: [u8; 16] = *b"skyshield-seal-1";

/// What the seal of a decision in force is.
pub(super) fn of_decision(row: &DecisionRow) -> i64 {
    let incident = row.incident.as_deref().unwrap_or_default();
    of(&[
        &row.id.0.to_le_bytes(),
        row.source.as_bytes(),
        row.origin.as_bytes(),
        row.layer.as_bytes(),
        row.reason.as_bytes(),
        row.comment.as_bytes(),
        incident.as_bytes(),
        &row.made_at_ms.to_le_bytes(),
        &until(row.expires_at_ms),
    ])
}

/// What the seal of a ruling in force is.
pub(super) fn of_ruling(row: &RulingRow) -> i64 {
    of(&[
        &row.id.0.to_le_bytes(),
        row.kind.as_bytes(),
        row.subject.as_bytes(),
        row.origin.as_bytes(),
        row.reason.as_bytes(),
        row.comment.as_bytes(),
        &row.requests_per_min.to_le_bytes(),
        &row.made_at_ms.to_le_bytes(),
        &until(row.expires_at_ms),
    ])
}

fn of(parts: &[&[u8]]) -> i64 {
    Key::new(KEY).hash(parts).cast_signed()
}

/// Eight bytes for an end, and none where there is none.
fn until(expires_at_ms: Option<i64>) -> Vec<u8> {
    expires_at_ms.map(|at| at.to_le_bytes().to_vec()).unwrap_or_default()
}
