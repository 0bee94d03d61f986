//! SkyShield guards a Linux web host from the wire to the request.

pub mod dataplane;
pub mod engine;
pub mod inspect;
