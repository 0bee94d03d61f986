//! Whether addresses stand for clients at all: where they do not, detectors ban none.

use super::Task;
use crate::engine::behaviour::{Signal, Traits};
use crate::engine::fronting::Fronted;

impl Task {
    /// Counts by whom a request has come, and tells where the conclusion changes.
    pub(super) fn watch_fronts(&mut self, signal: &Signal) {
        let before = self.fronting.found().map(|found| found.front);
        if signal.traits.has(Traits::BY_PROXY) {
            self.fronting.observe_told();
        } else {
            self.fronting.observe(signal.address, signal.traits.has(Traits::FORWARDS), signal.at);
        }
        let found = self.fronting.found();
        if found.map(|found| found.front) == before {
            return;
        }
        self.metrics.watched.armed.set(i64::from(found.is_none()));
        if let Some(found) = found {
            tracing::error!("detectors ban no addresses any more: {found}");
        } else {
            tracing::info!("detectors ban addresses again: no unknown proxy sends most requests");
        }
    }

    /// Why no address is banned on a detector's word.
    pub(super) fn not_armed(&self) -> Option<Fronted> {
        self.fronting.found()
    }
}
