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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::clock;
    use crate::control::{self, Control};
    use crate::engine::incident::Door;
    use crate::engine::risk;
    use crate::engine::watcher::Matched;
    use crate::inspect::Limits;
    use crate::verdict::{Settings, Verdict};

    /// Counts orders, and says what they were answered with.
    #[derive(Debug, Default)]
    struct Orders(Mutex<Vec<u16>>);

    impl Watcher for Orders {
        fn look(&self, request: &Request<'_>) -> Matched {
            Matched { rules: u64::from(request.target == b"/orders"), user: None }
        }

        fn answered(&self, _matched: Matched, status: u16) {
            self.0.lock().unwrap().push(status);
        }
    }

    #[test]
    fn requests_count_at_every_door_and_by_a_log_once_their_answer_is_known() {
        let metrics = control::Metrics::new(&prometheus::Registry::new()).unwrap();
        let (control, _queue) = Control::channel(metrics);
        let settings = Settings::new(&Limits::default(), &risk::Config::default(), &[]);
        let orders = Arc::<Orders>::default();
        let judge = Judge::new(settings, Arc::default(), control).counted_by(Some(Arc::clone(&orders) as _));
        let client = Client { address: [203, 0, 113, 7].into(), by_proxy: false };
        let request = |target| Request { method: b"POST", target, headers: &[], body: b"" };
        for (door, status) in [(Door::Gateway, 201), (Door::ForwardAuth, 202)] {
            for target in [&b"/orders"[..], b"/other"] {
                let verdict = judge.judge(client, door, &request(target), clock::now());
                let Verdict::Pass(mut permit) = verdict else { panic!("{target:?} does not pass") };
                judge.answered(permit.take_trail(), status);
            }
        }
        judge.read_of(client, &request(b"/orders"), clock::now(), 203);
        judge.clone().without_answers().read_of(client, &request(b"/orders"), clock::now(), 204);
        assert_eq!(*orders.0.lock().unwrap(), [201, 202, 203]);
    }
}
