//! `/api/v1/kernel`: what the kernel side has seen: packets by interface and reason, what rules and
//! places have met, and who sends most.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use skyshield_common::{Counter, Reason, Verdict};
use utoipa::ToSchema;

use super::bypass::BypassBody;
use super::problem::Problem;
use crate::control::{Control, Seen};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub(super) struct Traffic {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// What an interface has received: the sum of what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InterfaceTraffic {
    interface: String,
    received: Traffic,
    passed: Traffic,
    pub(super) dropped: Traffic,
    /// SYNs that were answered in the kernel.
    answered: Traffic,
    /// By their names in the metrics; none that has counted nothing.
    reasons: BTreeMap<&'static str, Traffic>,
    /// Those of them for which packets are dropped.
    #[serde(skip)]
    pub(super) drops: BTreeMap<&'static str, Traffic>,
}

/// What a rule on ports, or what is decided of a place, has met.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HitBody {
    /// `rule` or `place`.
    kind: &'static str,
    name: String,
    packets: u64,
    bytes: u64,
}

/// Who sends much, by a sample.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SenderBody {
    /// An IPv4 address, or the /64 of an IPv6 one.
    source: String,
    packets_per_second: f64,
    dropped_per_second: f64,
    bytes_per_second: f64,
}

/// What the kernel side has seen.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KernelBody {
    pub(super) interfaces: Vec<InterfaceTraffic>,
    hits: Vec<HitBody>,
    /// Most packets first, in the last window.
    senders: Vec<SenderBody>,
    window_seconds: u64,
    bypass: BypassBody,
}

/// What the kernel side has seen.
#[utoipa::path(get, path = "/api/v1/kernel", tag = "monitoring", responses((status = 200, body = KernelBody)))]
pub(super) async fn show(State(control): State<Control>) -> Result<Json<KernelBody>, Problem> {
    Ok(Json(control.seen().await?.into()))
}

impl From<Seen> for KernelBody {
    fn from(Seen { interfaces, hits, senders, window, bypass_left }: Seen) -> Self {
        let per_second = |count: u64| {
            #[expect(clippy::cast_precision_loss, reason = "an estimate, to a tenth")]
            let rate = count as f64 / window.as_secs_f64().max(1.0);
            (rate * 10.0).round() / 10.0
        };
        let hits = hits.into_iter().map(|hit| HitBody {
            kind: hit.kind.name(),
            name: hit.name,
            packets: hit.counter.packets,
            bytes: hit.counter.bytes,
        });
        let senders = senders.into_iter().map(|sender| SenderBody {
            source: sender.source.to_string(),
            packets_per_second: per_second(sender.packets),
            dropped_per_second: per_second(sender.dropped),
            bytes_per_second: per_second(sender.bytes),
        });
        Self {
            interfaces: interfaces.into_iter().map(|(name, counters)| traffic(name, &counters)).collect(),
            hits: hits.collect(),
            senders: senders.collect(),
            window_seconds: window.as_secs(),
            bypass: bypass_left.into(),
        }
    }
}

fn traffic(interface: String, counters: &[(Reason, Counter)]) -> InterfaceTraffic {
    let of = |wanted: &dyn Fn(Reason) -> bool| {
        let counted = counters.iter().filter(|(reason, _)| wanted(*reason));
        counted.fold(Traffic::default(), |sum, (_, counter)| Traffic {
            packets: sum.packets.wrapping_add(counter.packets),
            bytes: sum.bytes.wrapping_add(counter.bytes),
        })
    };
    let named = |wanted: &dyn Fn(Reason) -> bool| -> BTreeMap<&'static str, Traffic> {
        let counted = counters.iter().filter(|(reason, counter)| counter.packets > 0 && wanted(*reason));
        let traffic = |counter: &Counter| Traffic { packets: counter.packets, bytes: counter.bytes };
        counted.map(|(reason, counter)| (reason.name(), traffic(counter))).collect()
    };
    InterfaceTraffic {
        interface,
        received: of(&|_| true),
        passed: of(&|reason| reason.verdict() == Verdict::Pass),
        dropped: of(&|reason| reason.verdict() == Verdict::Drop),
        answered: of(&|reason| reason.verdict() == Verdict::Answer),
        reasons: named(&|_| true),
        drops: named(&|reason| reason.verdict() == Verdict::Drop),
    }
}
