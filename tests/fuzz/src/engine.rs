//! As much of the engine as those who read foreign bytes speak of.

#[path = "../../../skyshield/src/engine/client.rs"]
pub mod client;
#[path = "../../../skyshield/src/engine/source.rs"]
pub mod source;
