//! What the tap counts of what it has heard.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::stream::Odds;

/// Counts what was heard, and what was not.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    pub(super) verdicts: IntCounterVec,
    pub(super) over_quota: IntCounter,
    streams: IntCounterVec,
    odds: IntCounterVec,
    pub(super) missing_bytes: IntCounter,
    pub(super) flows: IntGauge,
    pub(super) held_bytes: IntGauge,
}

/// How much of a request was inspected.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard {
    Whole,
    /// Its body is longer than what is inspected.
    InPart,
    /// The gateway would have refused it; it was inspected as other servers may read it.
    Refused,
    /// Part of it never came, or it was let go before it was whole.
    Lost,
}

impl Heard {
    const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::InPart => "in_part",
            Self::Refused => "refused_by_the_gateway",
            Self::Lost => "lost",
        }
    }
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    Opened,
    /// It was joined in the middle, or again after it was lost.
    Joined,
    /// It cannot be followed any more.
    Lost,
    Closed,
    /// It was silent for too long.
    Idle,
    /// It had to make room.
    Evicted,
    Tls,
    Http2,
    /// It speaks neither.
    Foreign,
}

impl Turn {
    const ALL: [Self; 9] = [
        Self::Opened,
        Self::Joined,
        Self::Lost,
        Self::Closed,
        Self::Idle,
        Self::Evicted,
        Self::Tls,
        Self::Http2,
        Self::Foreign,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Joined => "joined_in_the_middle",
            Self::Lost => "lost",
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Tls => "tls",
            Self::Http2 => "http2",
            Self::Foreign => "foreign",
        }
    }
}

impl Metrics {
    /// Metrics in `registry`.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, label: &str| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let metrics = Self {
            requests: counters(
                "skyshield_tap_requests_total",
                "Requests heard by the tap, by how much of them was inspected",
                "heard",
            )?,
            verdicts: counters(
                "skyshield_tap_verdicts_total",
                "What the tap thinks of the requests it has heard",
                "verdict",
            )?,
            over_quota: counter(
                "skyshield_tap_over_quota_total",
                "Requests that a door which can refuse would have answered 429",
            )?,
            streams: counters(
                "skyshield_tap_streams_total",
                "Connections heard by the tap, by what happened to them",
                "turn",
            )?,
            odds: counters(
                "skyshield_tap_odds_total",
                "Segments that were not plainly the next of their connection",
                "kind",
            )?,
            missing_bytes: counter(
                "skyshield_tap_missing_bytes_total",
                "Bytes that the host has received and the tap has not heard",
            )?,
            flows: gauge("skyshield_tap_flows", "Connections that the tap follows")?,
            held_bytes: gauge("skyshield_tap_held_bytes", "What the tap keeps of what is not whole yet")?,
        };
        for heard in [Heard::Whole, Heard::InPart, Heard::Refused, Heard::Lost] {
            metrics.requests.with_label_values(&[heard.name()]);
        }
        for turn in Turn::ALL {
            metrics.streams.with_label_values(&[turn.name()]);
        }
        for verdict in ["passed", "flagged", "banned", "known"] {
            metrics.verdicts.with_label_values(&[verdict]);
        }
        metrics.odd(Odds::default());
        metrics.given_up(0);
        metrics.urgent(0);
        Ok(metrics)
    }

    pub(super) fn heard(&self, heard: Heard) {
        self.requests.with_label_values(&[heard.name()]).inc();
    }

    pub(super) fn turn(&self, turn: Turn) {
        self.streams.with_label_values(&[turn.name()]).inc();
    }

    pub(super) fn odd(&self, odds: Odds) {
        for (kind, count) in [
            ("reordered", odds.reordered),
            ("repeated", odds.repeated),
            ("overlapping", odds.overlapping),
            ("contradicting", odds.contradicting),
            ("without_room", odds.without_room),
        ] {
            self.odds.with_label_values(&[kind]).inc_by(count);
        }
        self.missing_bytes.inc_by(odds.missing);
    }

    pub(super) fn given_up(&self, fragmented: u64) {
        self.odds.with_label_values(&["fragments_given_up"]).inc_by(fragmented);
    }

    pub(super) fn urgent(&self, count: u64) {
        self.odds.with_label_values(&["urgent"]).inc_by(count);
    }
}
