//! The pure core: signals in, effects out; no IO, no clock.

pub mod decision;
pub mod source;
