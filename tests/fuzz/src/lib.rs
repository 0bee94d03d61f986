//! What reads foreign bytes, built for fuzzers from its own sources.

pub mod engine;
pub mod forward_auth;
pub mod gateway;
pub mod inspect;
pub mod tap;
