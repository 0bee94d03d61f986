//! Inspection, built for fuzzers from its own sources.

pub mod inspect;
