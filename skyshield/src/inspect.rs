//! Pure: a request in, findings out. No IO, no clock, linear time, every limit named and counted.

mod budget;
mod byteset;
mod content;
mod decode;
mod finding;
mod form;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grammar;
mod graphql;
mod inspector;
mod json;
mod limits;
mod matcher;
mod multipart;
pub mod own;
mod pattern;
mod prose;
mod request;
mod rules;
mod values;

pub use content::{CONTENT_CODING, Config as ContentConfig};
pub use finding::{Action, Class, Confidence, Finding, Inspection, Place};
pub use inspector::Inspector;
pub use limits::{CHARSET, Limits, Mode, NAMES as LIMIT_NAMES, OverLimit};
pub use request::{Header, Request};
pub use rules::{RuleInfo, infos as built_in_rules};
