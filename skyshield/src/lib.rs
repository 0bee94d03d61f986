//! SkyShield guards a Linux web host from the wire to the request.

pub mod clock;
pub mod control;
pub mod dataplane;
pub mod engine;
pub mod inspect;
pub mod store;
pub mod verdict;
