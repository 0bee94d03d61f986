//! What an incident leads to: a ban of its source, for longer each time; a record; a worse standing.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::{Control, Task, records, told};
use crate::clock;
use crate::engine::decision::{Layer, NewBan, Origin};
use crate::engine::escalation::Sentence;
use crate::engine::incident::{Act, Incident};
use crate::engine::ledger::Rejected;
use crate::engine::source::Source;
use crate::engine::view::Unwanted;
use crate::store::Record;

/// Incidents that a listener may be behind; beyond it he misses some, and is told how many.
const TOLD: usize = 1024;

/// Where incidents are told of.
pub(super) fn telling() -> broadcast::Sender<Arc<Incident>> {
    broadcast::channel(TOLD).0
}

impl Control {
    /// Counts that a request was refused for a list or a policy on places.
    pub fn count_unwanted(&self, unwanted: &Unwanted) {
        let labels = match unwanted {
            Unwanted::Listed(name) => ["list", &**name],
            Unwanted::Place(name) => ["place", &**name],
        };
        self.metrics.watched.unwanted.with_label_values(&labels).inc();
    }

    /// Every incident from now on, as it is dealt with.
    pub fn incidents(&self) -> broadcast::Receiver<Arc<Incident>> {
        self.told.subscribe()
    }
}

impl Task {
    /// From `risk.ban` on the source of a refused request is banned.
    pub(super) fn judge(&mut self, incident: &Incident) {
        if incident.act != Act::Ban {
            return;
        }
        let host = Source::host(incident.client.address);
        let reason = incident.findings.first().map_or("risk".into(), |finding| finding.rule.clone());
        // What was still on its way when the ban came makes nobody a repeater.
        let sentence = if self.ledger.get(host).is_some() || self.ledger.never_ban().covers(host).is_some() {
            Sentence { ttl: Duration::from_secs(self.risk.ban_secs), widened: None }
        } else {
            self.escalation.sentence(incident.client.address, clock::now(), incident.id.chance())
        };
        self.sentence(incident, host, reason, sentence.ttl);
        if let Some(prefix) = sentence.widened {
            self.sentence(incident, prefix, "widened: most of its members are banned".into(), self.widen_for);
        }
    }

    fn sentence(&mut self, incident: &Incident, source: Source, reason: Cow<'static, str>, ttl: Duration) {
        let new = NewBan {
            source,
            origin: Origin::Detector,
            layer: if incident.client.by_proxy { Layer::Request } else { Layer::Packet },
            reason,
            comment: None,
            ttl: Some(ttl),
            incident: Some(incident.id),
            asked_at: incident.at,
            force: false,
        };
        if self.arms(&new, incident.traits.forwards).is_err() {
            return;
        }
        match self.ban(new) {
            Ok(_) => {
                self.enact(Some(incident.complete_at));
            }
            Err(Rejected::Protected { .. }) => {}
            Err(full @ (Rejected::Full { .. } | Rejected::NoRoom { .. })) => self.tell_no_room(source, &full),
            Err(rejected @ Rejected::TooWide(_)) => {
                tracing::warn!(%source, %rejected, "a source was not banned");
            }
        }
    }

    /// A flagged request is kept; by a refused one its source's standing worsens.
    pub(super) fn record(&mut self, incident: &Incident) {
        self.metrics.incidents.with_label_values(&[incident.act.name()]).inc();
        let (now, address) = (clock::now(), incident.client.address);
        told::incident(incident);
        let row = records::incident_row(incident);
        self.teller.incident(&row);
        self.store.append(Record::Incident(Box::new(row)));
        if incident.act == Act::Observe {
            return;
        }
        // What only the source's past says is no new evidence against it.
        let score = incident.assessment.bill.of_the_request().score();
        let standing = self.view.standing(address, now).after_incident(score.value(), now);
        if !self.view.set_standing(address, standing) {
            self.metrics.standings_refused.inc();
        }
    }

    pub(super) fn forget_repeats(&mut self) {
        self.escalation.forget_faded(clock::now());
        let not_remembered = self.escalation.not_remembered();
        let counted = &self.metrics.escalation_refused;
        counted.inc_by(not_remembered.saturating_sub(counted.get()));
    }
}
