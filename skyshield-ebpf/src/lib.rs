//! What the XDP program decides, apart from the kernel: a frame in, a reason out.
//!
//! The frame and the tables are traits, so that the decisions run under plain `cargo test` and
//! serve as the reference that the loaded object is compared with.

#![no_std]
#![expect(
    clippy::inline_always,
    reason = "the verifier must see one function, whatever the optimiser thinks"
)]

#[cfg(test)]
extern crate std;

pub mod handshake;
mod look;
mod parse;
mod plain;
mod quick;
mod scatter;
mod screen;
mod segment;
mod walk;

pub use look::{Class, Looked, look};
pub use parse::{Details, Frame, Packet, details, layer4, parse};
pub use quick::{Quick, open_at, quick};
pub use scatter::scattered;
pub use screen::{Admission, Glance, Load, Outcome, Tables, further, screen};
pub use segment::{Carried, carried};
pub use walk::{Part, Walked, walk};
