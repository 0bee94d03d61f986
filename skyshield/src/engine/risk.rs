//! The score: what was found and what is known of the source, as a bill that adds up to one number.

mod bill;
mod config;
mod term;
mod weights;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use bill::{Bill, MOST_OF_WEAK, STRONG};
pub use config::{Config, Thresholds};
pub use term::{Evidence, Kind, Term};
pub use weights::Weights;

/// How risky a request is, 0 (nothing speaks against it) to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Score(f64);

impl Score {
    /// A score, held to 0..=1; what is no number is 0.
    pub const fn new(value: f64) -> Self {
        if value > 1.0 {
            Self(1.0)
        } else if value > 0.0 {
            Self(value)
        } else {
            Self(0.0)
        }
    }

    /// The score, 0 to 1.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.3}", self.0)
    }
}
