//! Threat indicators: what attacks have had in common, how sure that is, and how it fades.

mod indicator;
mod observe;
mod suspects;
mod table;

pub use indicator::{Indicator, Kind, uuid};
pub use observe::{Sign, Traits, observe, signs};
pub use suspects::Suspects;
pub use table::{Table, Wanted};
