//! Where is rehearsed: what verdicts go by now, and what the last rehearsal came to.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Mutex;

use super::Metrics;
use super::config::Config;
use super::outcome::Outcome;
use super::task;
use crate::exceptions::Live;
use crate::inspect::{Limits, RuleInfo, own};
use crate::verdict::Settings;

/// What a rehearsal goes by.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) settings: Arc<Settings>,
    pub(super) limits: Limits,
    pub(super) config: Config,
}

/// The stage; clones are the same one.
#[derive(Clone, Debug)]
pub struct Stage {
    script: Arc<ArcSwap<Script>>,
    last: Arc<ArcSwapOption<Outcome>>,
    /// One at a time: it takes all of a core for a while.
    turn: Arc<Mutex<()>>,
    metrics: Metrics,
    exceptions: Arc<Live>,
}

impl Stage {
    /// A stage for the configuration and the exceptions in force.
    pub fn new(
        settings: Arc<Settings>,
        exceptions: Arc<Live>,
        limits: Limits,
        config: Config,
        metrics: Metrics,
    ) -> Self {
        let script = Arc::new(ArcSwap::from_pointee(Script { settings, limits, config }));
        Self { script, last: Arc::default(), turn: Arc::default(), metrics, exceptions }
    }

    /// Goes by another configuration from here on.
    pub fn renew(&self, settings: Arc<Settings>, limits: Limits, config: Config) {
        self.script.store(Arc::new(Script { settings, limits, config }));
    }

    /// What the last rehearsal came to.
    pub fn last(&self) -> Option<Arc<Outcome>> {
        self.last.load_full()
    }

    /// Every rule by its id, with what comes of it under the configuration in force.
    pub fn rules(&self) -> Vec<RuleInfo> {
        let mut rules: Vec<_> = own::infos(&self.script.load().limits).collect();
        rules.sort_by(|one, other| one.id.cmp(&other.id));
        rules
    }

    pub(super) fn config(&self) -> Config {
        self.script.load().config.clone()
    }

    /// Rehearses now, once whoever does so already is done.
    pub async fn rehearse(&self) -> Result<Arc<Outcome>, tokio::task::JoinError> {
        let _turn = self.turn.lock().await;
        let script = self.script.load_full();
        let config = script.config.clone();
        let exceptions = self.exceptions.load().apart();
        let outcome = tokio::task::spawn_blocking(move || {
            task::rehearse(&script.settings, &exceptions, &script.limits)
        });
        let outcome = Arc::new(outcome.await?);
        self.metrics.tell(&outcome, &config);
        self.last.store(Some(Arc::clone(&outcome)));
        Ok(outcome)
    }
}
