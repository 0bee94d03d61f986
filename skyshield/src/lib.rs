//! SkyShield guards a Linux web host from the wire to the request.

pub mod clock;
pub mod control;
pub mod engine;
pub mod gateway;
pub mod inspect;
pub mod verdict;
