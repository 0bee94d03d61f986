//! The pure core: signals in, effects out; no IO, no clock.

pub mod allow;
pub mod behaviour;
pub mod client;
pub mod decision;
pub mod effect;
pub mod escalation;
pub mod incident;
pub mod ledger;
pub mod never_ban;
pub mod place;
pub mod reconcile;
pub mod risk;
pub mod shaping;
pub mod sight;
pub mod source;
pub mod standing;
pub mod upstream;
pub mod view;
