//! Automated response: rules of the operator's that say what is done when something has been seen.

mod config;
mod measures;
mod responder;

pub use config::{Act, BEHAVIOUR, Config, Rule, When};
pub use measures::Measures;
pub use responder::{Due, Responder, Seen};
