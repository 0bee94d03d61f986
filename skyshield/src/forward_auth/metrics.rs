//! What forward-auth counts. Labels are names of the configuration, and few others.

use std::sync::Arc;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::answer::Failure;

/// Bounds of the answers' times, in seconds.
const ANSWERED: [f64; 11] =
    [0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05];
/// Bounds of the requests' times, in seconds.
const SERVED: [f64; 13] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.0, 5.0, 30.0];
/// What a proxy answers by itself when the application does not.
const UNAVAILABLE: [u16; 3] = [502, 503, 504];
const FAMILIES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of forward-auth. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    failures: IntCounterVec,
    bodies: IntCounterVec,
    took: HistogramVec,
    connections: IntGaugeVec,
    turned_away: IntCounterVec,
    outcomes: IntCounterVec,
    served: HistogramVec,
    answers: IntCounterVec,
    unavailable: IntCounterVec,
    pub(super) forgotten: IntCounter,
}

/// Those of one door.
#[derive(Debug)]
pub(super) struct DoorMetrics {
    pub(super) passed: IntCounter,
    pub(super) risk: IntCounter,
    pub(super) rule: IntCounter,
    pub(super) banned: IntCounter,
    pub(super) unwanted: IntCounter,
    pub(super) unread: IntCounter,
    pub(super) too_large: IntCounter,
    pub(super) limited: IntCounter,
    pub(super) misconfigured: IntCounter,
    pub(super) unreadable: IntCounter,
    failures: [IntCounter; 3],
    pub(super) whole: IntCounter,
    pub(super) partial: IntCounter,
    pub(super) unseen: IntCounter,
    pub(super) took: Histogram,
    pub(super) connections: IntGauge,
    pub(super) untrusted: IntCounter,
    pub(super) accept_errors: IntCounter,
}

/// Those of one source of outcomes.
#[derive(Clone, Debug)]
pub(super) struct OutcomeMetrics {
    /// Told of a request that was waited for.
    pub(super) awaited: IntCounter,
    /// Told of one that was known by its line alone.
    pub(super) read: IntCounter,
    /// Our own refusal, which is evidence against nobody.
    pub(super) ours: IntCounter,
    /// Not to be understood.
    pub(super) unparsed: IntCounter,
    /// Longer than is read, or more than could be kept up with.
    pub(super) dropped: IntCounter,
    served: Arc<[Histogram; 5]>,
    answers: [IntCounter; 5],
    unavailable: IntCounter,
}

impl Metrics {
    /// Registers forward-auth's metrics with `registry`.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let histograms = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let histograms = HistogramVec::new(opts, labels)?;
            registry.register(Box::new(histograms.clone()))?;
            Ok::<_, prometheus::Error>(histograms)
        };
        let connections = IntGaugeVec::new(
            Opts::new("skyshield_forward_auth_connections", "Connections of proxies open now."),
            &["door"],
        )?;
        registry.register(Box::new(connections.clone()))?;
        let forgotten = IntCounter::new(
            "skyshield_forward_auth_awaited_forgotten_total",
            "Requests that were forgotten before their outcome was told, for want of room.",
        )?;
        registry.register(Box::new(forgotten.clone()))?;
        Ok(Self {
            requests: counters(
                "skyshield_forward_auth_requests_total",
                "Requests that proxies asked about, by what was answered and why.",
                &["door", "verdict", "reason"],
            )?,
            failures: counters(
                "skyshield_forward_auth_failures_total",
                "Questions of proxies that got no verdict, by kind.",
                &["door", "kind"],
            )?,
            bodies: counters(
                "skyshield_forward_auth_bodies_total",
                "Bodies of requests: inspected whole, in part, or not seen although the method suggests one.",
                &["door", "seen"],
            )?,
            took: histograms(
                "skyshield_forward_auth_duration_seconds",
                "From a question's head to its answer.",
                &ANSWERED,
                &["door"],
            )?,
            connections,
            turned_away: counters(
                "skyshield_forward_auth_connections_refused_total",
                "Connections that were not served, by reason.",
                &["door", "reason"],
            )?,
            outcomes: counters(
                "skyshield_forward_auth_outcomes_total",
                "Lines on what became of requests, by source and what was made of them.",
                &["source", "result"],
            )?,
            served: histograms(
                "skyshield_forward_auth_request_duration_seconds",
                "How long proxies say that requests took, by source, site and status family.",
                &SERVED,
                &["source", "site", "family"],
            )?,
            answers: counters(
                "skyshield_forward_auth_answers_total",
                "Answers to requests as proxies tell of them, by site and status family; our own refusals are not among them.",
                &["site", "family"],
            )?,
            unavailable: counters(
                "skyshield_forward_auth_unavailable_total",
                "Of these, 502, 503 and 504: the application did not answer.",
                &["site"],
            )?,
            forgotten,
        })
    }

    pub(super) fn of_door(&self, name: &str) -> DoorMetrics {
        let request = |verdict: &str, reason: &str| self.requests.with_label_values(&[name, verdict, reason]);
        let failure = |kind: &str| self.failures.with_label_values(&[name, kind]);
        let body = |seen: &str| self.bodies.with_label_values(&[name, seen]);
        DoorMetrics {
            passed: request("pass", "none"),
            risk: request("refuse", "risk"),
            rule: request("refuse", "rule"),
            banned: request("refuse", "banned"),
            unwanted: request("refuse", "unwanted"),
            unread: request("refuse", "unread"),
            too_large: request("refuse", "too_large"),
            limited: request("limit", "quota"),
            misconfigured: failure("misconfigured"),
            unreadable: failure("unreadable"),
            failures: [Failure::Deadline, Failure::NoRoom, Failure::Internal]
                .map(|kind| failure(kind.name())),
            whole: body("whole"),
            partial: body("partial"),
            unseen: body("unseen"),
            took: self.took.with_label_values(&[name]),
            connections: self.connections.with_label_values(&[name]),
            untrusted: self.turned_away.with_label_values(&[name, "untrusted"]),
            accept_errors: self.turned_away.with_label_values(&[name, "accept_error"]),
        }
    }

    pub(super) fn of_outcomes(&self, name: &str, site: &str) -> OutcomeMetrics {
        let lines = |result: &str| self.outcomes.with_label_values(&[name, result]);
        OutcomeMetrics {
            awaited: lines("awaited"),
            read: lines("read"),
            ours: lines("ours"),
            unparsed: lines("unparsed"),
            dropped: lines("dropped"),
            served: Arc::new(FAMILIES.map(|family| self.served.with_label_values(&[name, site, family]))),
            answers: FAMILIES.map(|family| self.answers.with_label_values(&[site, family])),
            unavailable: self.unavailable.with_label_values(&[site]),
        }
    }
}

impl DoorMetrics {
    pub(super) fn failed(&self, failure: Failure) {
        let [deadline, no_room, internal] = &self.failures;
        match failure {
            Failure::Deadline => deadline.inc(),
            Failure::NoRoom => no_room.inc(),
            Failure::Internal => internal.inc(),
        }
    }
}

impl OutcomeMetrics {
    /// Measures a request that was answered with `status`, after `secs` where the line says so.
    pub(super) fn answered(&self, status: u16, secs: Option<f64>) {
        let family = usize::from(status / 100).saturating_sub(1);
        let (Some(answers), Some(served)) = (self.answers.get(family), self.served.get(family)) else {
            return;
        };
        answers.inc();
        if let Some(secs) = secs {
            served.observe(secs);
        }
        if UNAVAILABLE.contains(&status) {
            self.unavailable.inc();
        }
    }
}
