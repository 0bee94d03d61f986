//! The pure core: signals in, effects out; no IO, no clock.

pub mod allow;
pub mod behaviour;
pub mod client;
mod compact;
pub mod decision;
pub mod effect;
pub mod escalation;
pub mod fronting;
pub mod incident;
pub mod ledger;
pub mod never_ban;
pub mod place;
pub mod reconcile;
pub mod risk;
pub mod ruling;
pub mod shaping;
pub mod sight;
pub mod source;
pub mod standing;
pub mod upstream;
pub mod view;
pub mod whereabouts;
