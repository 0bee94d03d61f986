//! The configuration in force, published for people under a revision.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::config::{self, Config};
use crate::control::millis;
use crate::lifecycle::{InForce, Shown, Wishes};

/// Publishes what is in force.
#[derive(Debug)]
pub(super) struct Published {
    shown: Shown,
    /// In milliseconds since 1970.
    started_ms: i64,
    /// Configurations that were in force since.
    count: u64,
}

impl Published {
    /// Publishes `config` as the first one in force, where who asks `wishes` sees it.
    pub(super) fn new(wishes: &Wishes, config: &Config) -> Self {
        let shown = wishes.shown().clone();
        let mut published = Self { shown, started_ms: millis(clock::wall()), count: 0 };
        published.publish(config);
        published
    }

    /// Publishes what is in force from here on. Two that differ in a secret alone look the same: the count tells them
    /// apart, and the start those of two daemons.
    pub(super) fn publish(&mut self, config: &Config) {
        self.count += 1;
        let shown = config::shown(config);
        let digest = Sha256::digest(shown.to_string().as_bytes());
        let digest = digest.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let revision = format!("{digest}-{:x}-{}", self.started_ms, self.count).into();
        self.shown.set(InForce { shown: Arc::new(shown), revision });
    }

    /// The revision in force.
    pub(super) fn revision(&self) -> Arc<str> {
        self.shown.get().revision
    }
}
