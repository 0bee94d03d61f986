//! Whether an address stands for a client at all: where it does not, detectors do not ban it.

use super::{OrderError, Task};
use crate::engine::behaviour::{Signal, Traits};
use crate::engine::decision::{Layer, NewBan, Origin};
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
            tracing::error!("detectors ban no proxy's address any more: {found}");
        } else {
            tracing::info!("detectors ban proxies' addresses again: no unknown proxy sends most requests");
        }
    }

    /// Whether what a detector wants banned may stand for others than itself, which is counted: then it is not
    /// banned. An operator knows whom he bans, and a request that a trusted proxy brought has a client of its own.
    pub(super) fn arms(&self, ban: &NewBan, forwards: bool) -> Result<(), OrderError> {
        if ban.origin != Origin::Detector
            || ban.layer != Layer::Packet
            || !self.fronting.doubts(ban.source.address(), forwards)
        {
            return Ok(());
        }
        self.metrics.watched.not_armed.inc();
        Err(OrderError::NotArmed)
    }

    /// Why no proxy's address is banned on a detector's word.
    pub(super) fn not_armed(&self) -> Option<Fronted> {
        self.fronting.found()
    }
}
