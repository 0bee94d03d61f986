//! Block lists of others: read, freed of what nobody may list, and held to bounds before they count.

mod config;
mod guard;
mod lists;
mod parse;
mod special;

pub use config::{Action, Config, Feed, Format};
pub use guard::{Measure, Refused, admit};
pub use lists::{List, Lists};
pub use parse::{Parsed, Unreadable, parse};
pub use special::special_purpose;
