//! What a recorded request is labelled as, and whose it is.

use crate::rehearsal::Recorded;

/// A recorded request, and what it is known to be.
#[derive(Debug, Default)]
pub(super) struct Labelled {
    pub(super) label: String,
    pub(super) category: String,
    pub(super) recorded: Recorded,
}

impl Labelled {
    /// One of which nobody says what it is: what is refused of it is told, and nothing else.
    pub(super) fn of(category: &str, recorded: Recorded) -> Self {
        Self { label: String::new(), category: category.to_owned(), recorded }
    }

    pub(super) fn is_attack(&self) -> bool {
        self.label == "attack"
    }
}
