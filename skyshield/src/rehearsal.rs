//! Rehearsing: attacks and honest requests that are known for what they are, through the configuration in
//! force, in this process; nobody is refused, limited or banned by it.

mod against;
mod config;
mod corpus;
mod metrics;
mod outcome;
mod rerun;
mod stage;
mod task;

pub use against::{Against, Changed, Fate, Kept, against};
pub use config::Config;
pub use metrics::Metrics;
pub use outcome::{Attacks, Figures, Honest, Outcome, RuleTally, Spread, Tally};
pub use rerun::{Became, Recorded, Rerun, Told};
pub use stage::Stage;
pub use task::{every_night, rehearse};
