//! What the API may ask of what is known of sources.

use std::sync::Arc;

use tokio::sync::watch;

use crate::engine::view::View;
use crate::geoip::Database;
use crate::indicators::Indicators;
use crate::reputation::{Feeding, State};

/// Handles to what is known of sources beyond their requests.
#[derive(Clone)]
pub struct Knowing {
    /// What is published for the doors.
    pub view: Arc<View>,
    /// The databases of places.
    pub places: watch::Receiver<Vec<Database>>,
    /// The lists.
    pub feeds: Feeding,
    /// How the asking of providers goes.
    pub asking: watch::Receiver<State>,
    /// The indicators.
    pub indicators: Indicators,
}

impl Knowing {
    /// Nothing is known of anybody.
    #[cfg(test)]
    pub(super) fn nothing() -> Self {
        Self {
            view: Arc::default(),
            places: watch::Sender::new(Vec::new()).subscribe(),
            feeds: Feeding::default(),
            asking: watch::Sender::default().subscribe(),
            indicators: Indicators::default(),
        }
    }

    /// Whether every list, database and provider is as it should be.
    pub(super) fn is_well(&self) -> bool {
        let places = self.places.borrow().iter().all(|database| database.problem.is_none());
        let feeds = self.feeds.states().iter().all(|feed| feed.problem.is_none());
        // A used-up budget is as it should be.
        let failing = |state: &str| matches!(state, "open" | "key_refused");
        places && feeds && !self.asking.borrow().providers.iter().any(|provider| failing(provider.state))
    }
}
