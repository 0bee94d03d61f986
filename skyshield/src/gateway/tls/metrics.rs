//! What is counted of TLS.

use jiff::Timestamp;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};
use rustls::ProtocolVersion;

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Outcome {
    Done,
    Failed,
    TooSlow,
    /// Too many were in progress.
    NoTurn,
    /// What came was no handshake.
    NotTls,
}

/// Counters of TLS. Clones count together.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Metrics {
    handshakes: [IntCounter; 5],
    tls12: IntCounter,
    tls13: IntCounter,
    pub(super) reloaded: IntCounter,
    pub(super) kept: IntCounter,
    expires: IntGaugeVec,
}

impl Metrics {
    pub(in crate::gateway) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, label: &str| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let handshakes =
            counters("skyshield_tls_handshakes_total", "TLS handshakes by how they ended.", "outcome")?;
        let versions =
            counters("skyshield_tls_connections_total", "TLS connections by protocol version.", "version")?;
        let reloads = counters(
            "skyshield_tls_certificate_reloads_total",
            "Changed certificate files, by whether they were taken up or the ones in use were kept.",
            "outcome",
        )?;
        let expires = IntGaugeVec::new(
            Opts::new(
                "skyshield_tls_certificate_expires_timestamp_seconds",
                "When each certificate in use expires, in seconds since 1970, by the file of its chain.",
            ),
            &["chain"],
        )?;
        registry.register(Box::new(expires.clone()))?;
        Ok(Self {
            handshakes: ["done", "failed", "too_slow", "no_turn", "not_tls"]
                .map(|outcome| handshakes.with_label_values(&[outcome])),
            tls12: versions.with_label_values(&["1.2"]),
            tls13: versions.with_label_values(&["1.3"]),
            reloaded: reloads.with_label_values(&["taken_up"]),
            kept: reloads.with_label_values(&["kept_old"]),
            expires,
        })
    }

    pub(in crate::gateway) fn shook(&self, outcome: Outcome) {
        if let Some(counter) = self.handshakes.get(outcome as usize) {
            counter.inc();
        }
    }

    pub(super) fn spoke(&self, version: Option<ProtocolVersion>) {
        if version == Some(ProtocolVersion::TLSv1_2) { &self.tls12 } else { &self.tls13 }.inc();
    }

    pub(super) fn expire(&self, until: &[(String, Timestamp)]) {
        for (chain, at) in until {
            self.expires.with_label_values(&[chain]).set(at.as_second());
        }
    }
}
