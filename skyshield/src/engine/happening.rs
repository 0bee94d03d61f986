//! What happens once, and people are to be told of: from the rooms that see it to the one that tells.

use std::sync::Arc;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Whose rule says that people are to be told: what is of one rule is told together.
    pub rule: String,
    /// Of which of several it is: `source=203.0.113.7`.
    pub which: String,
    /// What it says to people.
    pub summary: String,
}

/// Takes what happens and never waits; what there is no room for is counted behind it.
pub type Teller = Arc<dyn Fn(Happening) + Send + Sync>;
