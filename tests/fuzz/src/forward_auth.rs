//! What of forward-auth reads foreign bytes.
#![expect(dead_code, reason = "what the rest of forward-auth asks of these is not asked here")]

mod address;
mod config;
pub mod fuzzing;
mod outcomes;
mod wire;
