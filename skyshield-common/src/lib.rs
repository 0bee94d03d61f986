//! The bytes that SkyShield's kernel and user side agree on, and the arithmetic both run.
//!
//! Everything that lies in a kernel map is `#[repr(C)]` without padding, in the machine's byte
//! order, with addresses in network order. Times are nanoseconds of `CLOCK_BOOTTIME`, the one
//! clock both sides can read: it goes on in suspend, so a ban's time passes there as well.

#![no_std]

#[cfg(test)]
extern crate std;

mod ban;
pub mod clearance;
mod counter;
mod event;
pub mod gate;
pub mod host;
pub mod host_v6;
mod key;
mod limit;
pub mod maps;
pub mod near;
pub mod place;
mod plain;
pub mod range;
pub mod rate;
mod reason;
pub mod roster;
pub mod rules;
mod settings;
pub mod tap;
pub mod top;

pub use ban::{Ban, Banned, Hits, PrefixBan, UNTIL_LIFTED};
pub use counter::{Counter, EventCounter, Tally};
pub use event::{Event, FAMILY_V4, FAMILY_V6};
pub use key::{Address, RateKey};
pub use limit::{LIMITS, Limit};
pub use plain::Plain;
pub use reason::{Reason, Verdict};
pub use settings::{Rate, Settings, Sizes, flag};
