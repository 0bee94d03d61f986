//! What of the tap reads foreign bytes: streams and packets put together again.
#![expect(dead_code, reason = "what the rest of the tap asks of these is not asked here")]

#[path = "../../../skyshield/src/tap/fragments.rs"]
mod fragments;
pub mod fuzzing;
#[path = "../../../skyshield/src/tap/stream.rs"]
mod stream;
