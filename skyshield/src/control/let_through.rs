//! Places that are let through: what the kernel has to be told of them, which knows addresses alone.

use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::Notify;

use super::kernel::KernelOrder;
use super::{Control, OrderError, Task, allows};
use crate::engine::ruling::{Docket, Kind, Subject};
use crate::engine::source::Source;

/// Which places are let through, and which addresses of theirs stand in a banned prefix.
#[derive(Debug)]
pub(super) struct LetThrough {
    places: Vec<Subject>,
    /// In the kernel's allow list, beside the never-ban set.
    sources: Vec<Source>,
    changed: Arc<Notify>,
}

impl LetThrough {
    pub(super) fn telling(control: &Control) -> Self {
        Self { places: Vec::new(), sources: Vec::new(), changed: Arc::clone(&control.let_through) }
    }

    /// All that the kernel is to let through: `never_ban`, and these.
    pub(super) fn beside(&self, never_ban: &[Source]) -> Vec<Source> {
        never_ban.iter().chain(&self.sources).copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Makes room for the never-ban set.
    pub(super) fn give_way(&mut self) {
        self.sources.clear();
        self.changed.notify_one();
    }

    /// Takes up what is ruled.
    pub(super) fn ruled(&mut self, docket: &Docket) {
        let places = docket.after(None).filter(|ruling| {
            ruling.kind == Kind::Allow && matches!(ruling.subject, Subject::Asn(_) | Subject::Country(_))
        });
        let places: Vec<_> = places.map(|ruling| ruling.subject.clone()).collect();
        if places != self.places {
            self.places = places;
            self.changed.notify_one();
        }
    }

    /// Notes that the ban of `source` came or went.
    pub(super) fn banned(&self, source: Source) {
        if !source.is_host() && !self.places.is_empty() {
            self.changed.notify_one();
        }
    }
}

impl Control {
    /// Told when the kernel has to be told anew of lists, places and [who is let
    /// through](Self::set_let_through).
    pub fn let_through(&self) -> &Arc<Notify> {
        &self.let_through
    }

    /// Has the kernel let through `prefixes` of places that are let through, which stand in prefixes that
    /// are banned. Fails where the allow list has no room for them; then nothing changes.
    pub async fn set_let_through(&self, prefixes: Vec<IpNet>) -> Result<(), OrderError> {
        self.kernel(|reply| KernelOrder::LetThrough(prefixes, reply)).await
    }
}

impl Task {
    pub(super) fn let_through(&mut self, prefixes: Vec<IpNet>) -> Result<(), OrderError> {
        let sources: Vec<_> = prefixes.into_iter().map(Source::prefix).collect();
        if sources == self.let_through.sources {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.let_through.sources, sources);
        let never_ban = allows::together(&self.host_protected, &self.allows);
        let (never_ban, _told) = allows::fitting(&never_ban, self.enforcer.as_ref());
        let taken = self.enforcer.set_allowed(&self.let_through.beside(&never_ban));
        if taken.is_err() {
            // Room is asked for before anything is touched.
            self.let_through.sources = before;
            self.metrics.dataplane_failures.inc();
        }
        Ok(taken?)
    }
}
