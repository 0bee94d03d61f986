//! Automated response while the daemon runs: hears of incidents, asks the rules, does what they say, and
//! leaves a line in the audit log of each thing done.

mod metrics;
mod webhook;

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::control::Control;
use crate::engine::decision::{Layer, NewBan, Origin};
use crate::engine::happening::{Happening, Teller};
use crate::engine::incident::Incident;
use crate::engine::indicators::signs;
use crate::engine::response::{Act, BEHAVIOUR, Config, Due, Responder, Seen};
use crate::engine::risk::{self, Score};
use crate::engine::source::Source;
use crate::engine::view::View;
use crate::indicators::Indicators;
use crate::reputation::Client;

pub use metrics::Metrics;
pub use webhook::{Hook, Hooks, problem};

/// Writes a line of the audit log: what was done, and its content.
pub type Audit = Arc<dyn Fn(&str, Value) + Send + Sync>;

/// Acts that are carried out at a time; beyond it further ones are dropped and counted.
const AT_ONCE: usize = 64;
/// How often what no rule counts is forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// What a response acts by.
pub struct Parts {
    /// The one road to a decision.
    pub control: Control,
    /// Where measures are published.
    pub view: Arc<View>,
    /// What is known of attackers.
    pub indicators: Indicators,
    /// How programs elsewhere are told.
    pub client: Client,
    /// From which score on sources are slowed down.
    pub shape: f64,
    /// The audit log.
    pub audit: Audit,
    /// Who tells people.
    pub tell: Teller,
}

/// The task.
pub struct Response {
    responder: Responder,
    hooks: Hooks,
    parts: Parts,
    began: Instant,
    doing: JoinSet<()>,
    metrics: Metrics,
}

impl Response {
    /// A task that goes by `config`. Fails where a secret cannot be read. Blocks.
    pub fn new(config: &Config, parts: Parts, metrics: Metrics) -> anyhow::Result<Self> {
        let hooks = Hooks::load(config)?;
        let responder = Responder::new(config.clone());
        Ok(Self { responder, hooks, parts, began: clock::now(), doing: JoinSet::new(), metrics })
    }

    /// Responds to `incidents` until `stop`.
    pub async fn run(
        mut self,
        mut incidents: broadcast::Receiver<Arc<Incident>>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut period = tokio::time::interval(FORGET_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(_done) = self.doing.join_next() => {}
                heard = incidents.recv() => match heard {
                    Ok(incident) => self.heard(&incident),
                    Err(broadcast::error::RecvError::Lagged(missed)) => self.metrics.missed.inc_by(missed),
                    Err(broadcast::error::RecvError::Closed) => stop.cancelled().await,
                },
                _ = period.tick() => {
                    self.responder.forget(clock::now().saturating_duration_since(self.began));
                    let counted = &self.metrics.uncounted;
                    counted.inc_by(self.responder.refused().saturating_sub(counted.get()));
                }
            }
        }
    }

    fn heard(&mut self, incident: &Arc<Incident>) {
        let address = incident.client.address;
        // Whoever is never cut off is not responded to either.
        if self.parts.view.never_ban().protects(address).is_some() {
            return;
        }
        // Made for the first rule that asks: most ask for none.
        let signs = LazyCell::new(|| signs(incident, &self.parts.view.atlas()));
        let (indicators, id) = (&self.parts.indicators, incident.id.to_string());
        let confidence = |kind| {
            let of_kind = signs.iter().filter(|sign| sign.kind == kind);
            of_kind.map(|sign| indicators.confidence_beside(&id, kind, &sign.value)).fold(0.0, f64::max)
        };
        let at = clock::now().saturating_duration_since(self.began);
        for due in self.responder.consider(&seen(incident, at), confidence) {
            self.carry_out(due, incident);
        }
    }

    fn carry_out(&mut self, due: Due, incident: &Arc<Incident>) {
        let Due { rule, act, dry_run } = due;
        let outcome = if dry_run { "dry_run" } else { "done" };
        let (address, id) = (incident.client.address, incident.id);
        self.metrics.acts.with_label_values(&[rule.as_str(), act.name(), outcome]).inc();
        tracing::warn!(rule, act = act.name(), source = %address, incident = %id, dry_run, "a rule of response applies");
        let content = json!({
            "rule": rule, "act": act, "source": address, "incident": id, "dry_run": dry_run,
        });
        (self.parts.audit)(&format!("response {}", act.name()), content);
        if dry_run {
            return;
        }
        let now = clock::now();
        let until = |secs: u64| now.checked_add(Duration::from_secs(secs)).unwrap_or(now);
        let measures = self.parts.view.measures();
        match act {
            Act::Limit {} if incident.client.by_proxy => {}
            Act::Limit {} => self.parts.control.suspect(address, Score::new(self.parts.shape)),
            Act::Tighten { class, fold, secs } => measures.tighten(&class, fold, until(secs), now),
            Act::RequireLogin { secs } => {
                if !measures.require_login(address, until(secs), now) {
                    self.metrics.dropped.inc();
                }
            }
            Act::Notify {} => (self.parts.tell)(Happening {
                summary: format!("a rule of response applies; the first incident is {id}"),
                which: format!("source={address}"),
                rule,
            }),
            Act::Ban { ttl_secs } => self.ban(&rule, ttl_secs, incident),
            Act::Webhook { url, .. } => self.call(&rule, &url, incident),
        }
    }

    fn ban(&mut self, rule: &str, ttl_secs: u64, incident: &Incident) {
        let ban = NewBan {
            source: Source::host(incident.client.address),
            origin: Origin::Detector,
            layer: if incident.client.by_proxy { Layer::Request } else { Layer::Packet },
            reason: format!("response: {rule}").into(),
            comment: None,
            ttl: Some(Duration::from_secs(ttl_secs)),
            incident: Some(incident.id),
            asked_at: clock::wall(),
            force: false,
        };
        let (control, forwards) = (self.parts.control.clone(), incident.traits.forwards);
        self.begin(async move {
            if let Err(error) = control.ban_for(ban, forwards).await {
                tracing::warn!(%error, "a ban that a rule of response asks for was not made");
            }
        });
    }

    fn call(&mut self, rule: &str, url: &str, incident: &Incident) {
        let Some(hook) = self.hooks.get(url) else { return };
        let message = json!({
            "rule": rule,
            "source": incident.client.address,
            "incident": incident.id,
            "at": jiff::Timestamp::try_from(incident.at).map(|at| format!("{at:.3}")).unwrap_or_default(),
            "score": incident.score(),
            "findings": incident.findings.iter().map(|finding| &*finding.rule).collect::<Vec<_>>(),
        });
        let (client, calls) = (self.parts.client.clone(), self.metrics.calls.clone());
        self.begin(async move {
            let outcome = hook.call(&client, &message).await;
            calls.with_label_values(&[outcome]).inc();
        });
    }

    fn begin(&mut self, act: impl Future<Output = ()> + Send + 'static) {
        if self.doing.len() >= AT_ONCE {
            self.metrics.dropped.inc();
        } else {
            self.doing.spawn(act);
        }
    }
}

fn seen(incident: &Incident, at: Duration) -> Seen {
    let found =
        incident.findings.iter().map(|finding| (finding.rule.clone().into_owned(), finding.class.name()));
    let terms = incident.assessment.bill.terms.iter();
    let behaviour = terms
        .filter(|term| term.kind == risk::Kind::Behaviour)
        .map(|term| (term.rule.clone().into_owned(), BEHAVIOUR.to_owned()));
    Seen {
        address: incident.client.address,
        score: incident.score().value(),
        findings: found.chain(behaviour).collect(),
        route: incident.route.to_string(),
        at,
    }
}
