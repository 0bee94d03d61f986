//! What doors saw of sources: outcomes to the detectors, their claims to the view, suspects to the shaper.

use std::net::IpAddr;

use super::Task;
use crate::clock;
use crate::dataplane::{Error, Shape};
use crate::engine::behaviour::{Claims, Detector};
use crate::engine::risk::Score;
use crate::engine::source::Source;

/// From this confidence on a claim is counted.
const TOLD_FROM: f64 = 0.5;

impl Task {
    /// Hands what waits to the detectors, and publishes what they claim.
    pub(super) fn observe(&mut self) {
        let mut signals = std::mem::take(&mut self.signals);
        self.outcomes.take(&mut signals);
        for signal in signals.drain(..) {
            self.watch_fronts(&signal);
            // Whoever is never cut off is not watched either.
            if self.ledger.never_ban().covers(Source::host(signal.address)).is_some() {
                continue;
            }
            let before = self.view.claims(signal.address);
            let claims = self.behaviour.observe(&signal);
            if claims.is_empty() && before.is_empty() {
                // Neighbours who behave keep their prefix from being banned whole.
                if matches!(signal.status, 200..=399) {
                    self.escalation.note_good(signal.address, signal.at);
                }
                continue;
            }
            self.count_claims(&before, &claims, signal.at);
            if !self.view.set_claims(signal.address, claims) {
                self.metrics.standings_refused.inc();
            }
        }
        self.signals = signals;
        let counted = &self.metrics.watched.outcomes_dropped;
        counted.inc_by(self.outcomes.dropped().saturating_sub(counted.get()));
        let counted = &self.metrics.watched.behaviour_evicted;
        counted.inc_by(self.behaviour.evicted().saturating_sub(counted.get()));
    }

    fn count_claims(&self, before: &Claims, claims: &Claims, now: std::time::Instant) {
        for detector in Detector::ALL {
            if before.of(detector, now) < TOLD_FROM && claims.of(detector, now) >= TOLD_FROM {
                self.metrics.watched.behaviour.with_label_values(&[detector.name()]).inc();
            }
        }
    }

    /// Slows down whoever sent a request of `score`.
    pub(super) fn suspect(&mut self, address: IpAddr, score: Score) {
        if self.ledger.never_ban().covers(Source::host(address)).is_some() {
            return;
        }
        let now = clock::now();
        if self.shaper.suspect(address, score, now) {
            self.view.set_shaped(address, Some((score, now)));
        }
        let counted = &self.metrics.watched.shapes_refused;
        counted.inc_by(self.shaper.refused().saturating_sub(counted.get()));
        self.enact(None);
    }

    /// Gives a source a rate of its own, or the common one again.
    pub(super) fn shape(&mut self, source: IpAddr, packets_per_sec: Option<u64>) {
        if packets_per_sec.is_none() {
            self.view.set_shaped(source, None);
        }
        let shape = packets_per_sec
            .map(|packets_per_sec| Shape { packets_per_sec, burst: packets_per_sec.saturating_mul(2) });
        let outcome: Result<(), Error> = self.enforcer.shape(source, shape);
        if let Err(error) = outcome {
            self.metrics.dataplane_failures.inc();
            tracing::error!(%source, %error, "a source's rate did not reach the kernel");
        }
        self.metrics.watched.shaped.set(i64::try_from(self.shaper.len()).unwrap_or(i64::MAX));
    }
}
