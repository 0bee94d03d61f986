//! What the gateway counts. Labels are bounded: never an address, a path or a name of a client's.

mod sites;
mod upstreams;

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use self::sites::SiteFamilies;
pub(super) use self::sites::{NO_CLASS, SiteMetrics};
use self::upstreams::UpstreamFamilies;
pub(super) use self::upstreams::UpstreamMetrics;
use super::guard::Cause;
use super::upstream::Failure;
use super::{http2, tls};
use crate::telemetry::Requests;

/// The gateway's counters. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) passed: IntCounter,
    pub(super) refused_risk: IntCounter,
    pub(super) refused_banned: IntCounter,
    pub(super) refused_unwanted: IntCounter,
    pub(super) refused_unread: IntCounter,
    pub(super) refused_rule: IntCounter,
    pub(super) limited: IntCounter,
    invalid: IntCounter,
    guard: Vec<IntCounter>,
    upstream: Vec<IntCounter>,
    pub(super) retries: IntCounter,
    pub(super) clients_left: IntCounter,
    pub(super) refused_proxy: IntCounter,
    pub(super) tunnels: IntCounter,
    pub(super) policy_reports: IntCounter,
    pub(super) connections: IntGauge,
    pub(super) refused_total: IntCounter,
    pub(super) refused_per_source: IntCounter,
    pub(super) accept_errors: IntCounter,
    pub(super) bytes_in: IntCounter,
    pub(super) bytes_out: IntCounter,
    pub(super) bodies_refused: IntCounter,
    pub(super) bodies_passed: IntCounter,
    pub(super) tls: tls::Metrics,
    pub(super) http2: http2::Metrics,
    sites: SiteFamilies,
    /// Of requests that were turned away before it was clear which site they are for.
    pub(super) nowhere: SiteMetrics,
    upstreams: UpstreamFamilies,
    /// What is told of requests besides.
    pub(super) requests: Requests,
}

impl Metrics {
    /// Registers the gateway's metrics with `registry`.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = counters(
            registry,
            "skyshield_requests_total",
            "Requests by what happened to them and why.",
            &["verdict", "reason"],
        )?;
        let guard = counters(
            registry,
            "skyshield_gateway_invalid_requests_total",
            "Requests the gateway itself turned away, by cause.",
            &["cause"],
        )?;
        let upstream = counters(
            registry,
            "skyshield_upstream_errors_total",
            "Requests that got no whole answer from the upstream, by kind.",
            &["kind"],
        )?;
        let refused = counters(
            registry,
            "skyshield_gateway_connections_refused_total",
            "Client connections closed at once, by the limit they met.",
            &["limit"],
        )?;
        let bytes = counters(
            registry,
            "skyshield_gateway_bytes_total",
            "Bytes exchanged with clients.",
            &["direction"],
        )?;
        let bodies = counters(
            registry,
            "skyshield_gateway_bodies_over_limit_total",
            "Bodies larger than what is inspected, by what was done.",
            &["action"],
        )?;
        let sites = SiteFamilies::new(registry)?;
        Ok(Self {
            passed: requests.with_label_values(&["pass", "none"]),
            refused_risk: requests.with_label_values(&["refuse", "risk"]),
            refused_banned: requests.with_label_values(&["refuse", "banned"]),
            refused_unwanted: requests.with_label_values(&["refuse", "unwanted"]),
            refused_unread: requests.with_label_values(&["refuse", "unread"]),
            refused_rule: requests.with_label_values(&["refuse", "rule"]),
            limited: requests.with_label_values(&["limit", "quota"]),
            invalid: requests.with_label_values(&["invalid", "guard"]),
            guard: Cause::ALL.iter().map(|cause| guard.with_label_values(&[cause.name()])).collect(),
            upstream: Failure::ALL.iter().map(|kind| upstream.with_label_values(&[kind.name()])).collect(),
            retries: counter(
                registry,
                "skyshield_upstream_retries_total",
                "Requests sent again because the upstream had closed a kept connection.",
            )?,
            clients_left: counter(
                registry,
                "skyshield_gateway_clients_left_total",
                "Clients that went away while the upstream had not answered them.",
            )?,
            policy_reports: counter(
                registry,
                "skyshield_csp_reports_total",
                "Reports of browsers on what the policy in trial would have forbidden.",
            )?,
            tunnels: counter(
                registry,
                "skyshield_gateway_tunnels_total",
                "Connections that became a WebSocket, uninspected from there on.",
            )?,
            connections: gauge(registry)?,
            refused_total: refused.with_label_values(&["total"]),
            refused_per_source: refused.with_label_values(&["per_source"]),
            refused_proxy: refused.with_label_values(&["proxy_protocol"]),
            accept_errors: counter(
                registry,
                "skyshield_gateway_accept_errors_total",
                "Connections that could not be accepted, for want of file descriptors above all.",
            )?,
            bytes_in: bytes.with_label_values(&["in"]),
            bytes_out: bytes.with_label_values(&["out"]),
            bodies_refused: bodies.with_label_values(&["refuse"]),
            bodies_passed: bodies.with_label_values(&["pass"]),
            tls: tls::Metrics::new(registry)?,
            http2: http2::Metrics::new(registry)?,
            nowhere: sites.of(NO_CLASS),
            sites,
            upstreams: UpstreamFamilies::new(registry)?,
            requests: Requests::default(),
        })
    }

    /// Tells `requests` of what is served, too.
    #[must_use]
    pub fn and_tell(self, requests: Requests) -> Self {
        Self { requests, ..self }
    }

    pub(super) fn invalid(&self, cause: Cause) {
        self.invalid.inc();
        if let Some(counter) = self.guard.get(cause as usize) {
            counter.inc();
        }
        if cause == Cause::BodyTooLarge {
            self.bodies_refused.inc();
        }
    }

    /// The counters of `upstream` of `site`.
    pub(super) fn of_upstream(&self, site: &str, upstream: &str) -> UpstreamMetrics {
        self.upstreams.of(site, upstream)
    }

    pub(super) fn upstream_failed(&self, failure: Failure) {
        if let Some(counter) = self.upstream.get(failure as usize) {
            counter.inc();
        }
    }

    /// The measures of `site`.
    pub(super) fn of_site(&self, site: &str) -> SiteMetrics {
        self.sites.of(site)
    }
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn gauge(registry: &Registry) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new("skyshield_gateway_connections", "Client connections open now.")?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}
