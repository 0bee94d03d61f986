//! SkyShield guards a Linux web host from the wire to the request.

pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod dataplane;
pub mod engine;
pub mod exceptions;
pub mod exchange;
pub mod forward_auth;
pub mod gateway;
pub mod geoip;
pub mod host;
pub mod indicators;
pub mod inspect;
pub mod lifecycle;
pub mod limits;
pub mod rehearsal;
pub mod reputation;
pub mod response;
pub mod routes;
pub mod store;
pub mod tap;
pub mod telemetry;
pub mod verdict;
