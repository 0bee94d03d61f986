//! As much of the configuration as the readers of lines speak of.
#![expect(dead_code, reason = "what the rest asks of these is not asked here")]

mod outcomes;
mod place;

pub use outcomes::Format;
