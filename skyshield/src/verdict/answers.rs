//! What becomes of requests that pass: kept until their answers are known, and told to who learns from them.

use std::sync::Arc;
use std::time::Instant;

use super::{Judge, Trail, Watch};
use crate::engine::incident::Client;
use crate::engine::watcher::Watcher;
use crate::inspect::Request;

impl Judge {
    /// The same, and what becomes of requests is told to the detectors.
    #[must_use]
    pub fn watched_by(self, watch: Option<Watch>) -> Self {
        Self { watch: watch.map(Arc::new), ..self }
    }

    /// The same, of requests whose answers nobody hears.
    #[must_use]
    pub fn without_answers(self) -> Self {
        Self { watch: None, counter: None, ..self }
    }

    /// The same, and `counter` counts requests for what they stand for.
    #[must_use]
    pub fn counted_by(self, counter: Option<Arc<dyn Watcher>>) -> Self {
        Self { counter, ..self }
    }

    /// Tells the detectors, and who counts, how the application answered the request that left `trail`.
    /// What this host refuses by itself leaves none.
    pub fn answered(&self, trail: Option<Trail>, status: u16) {
        let Some(Trail { seen, matched }) = trail else { return };
        if let Some((watch, seen)) = self.watch.as_ref().zip(seen) {
            self.control.tell(watch.signal(seen, status));
        }
        if let Some((counter, matched)) = self.counter.as_ref().zip(matched) {
            counter.answered(matched, status);
        }
    }

    pub(super) fn trail(
        &self,
        client: Client,
        request: &Request<'_>,
        route: &Arc<str>,
        at: Instant,
    ) -> Option<Trail> {
        let seen = self.watch.as_ref().map(|watch| watch.see(client, request, route, at));
        let matched = self.counter.as_ref().map(|counter| counter.look(request));
        let matched = matched.filter(|matched| matched.rules != 0);
        (seen.is_some() || matched.is_some()).then_some(Trail { seen, matched })
    }

    /// Tells the detectors that `request` of `client`, which came by no door of ours or left no trail, was
    /// answered with `status`: known by what a proxy has logged of it.
    pub fn read_of(&self, client: Client, request: &Request<'_>, at: Instant, status: u16) {
        let route = &self.settings.route_of(request).name;
        self.answered(self.trail(client, request, route, at), status);
    }
}
