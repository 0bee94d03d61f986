//! Pure: a request in, findings out. No IO, no clock, linear time, every limit named and counted.

mod finding;
mod request;

pub use finding::{Class, Confidence, Finding, Inspection, Place};
pub use request::{Header, Request};
