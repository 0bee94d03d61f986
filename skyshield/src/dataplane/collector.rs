//! The kernel's counters as metrics, read when the page is asked for.

use std::sync::{Mutex, PoisonError};

use prometheus::core::{Collector as _, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, Opts};
use skyshield_common::Verdict;

use super::enforcer::{Hit, Reader};

/// Reads the kernel's counters at each scrape; what cannot be read is left out and flagged.
pub struct Collector {
    reader: Mutex<Box<dyn Reader>>,
    packets: Opts,
    bytes: Opts,
    events: Opts,
    hits: Opts,
    readable: IntGauge,
    descriptions: Vec<Desc>,
}

const HIT_LABELS: [&str; 2] = ["kind", "name"];
const LABELS: [&str; 3] = ["interface", "verdict", "reason"];

impl Collector {
    /// A collector over `reader`.
    pub fn new(reader: Box<dyn Reader>) -> Result<Self, prometheus::Error> {
        let packets = Opts::new("skyshield_xdp_packets_total", "Packets by what became of them and why");
        let bytes = Opts::new("skyshield_xdp_bytes_total", "Bytes of packets by what became of them and why");
        let events = Opts::new("skyshield_xdp_events_total", "Events of drops by what became of them");
        let hits = Opts::new(
            "skyshield_xdp_hits_total",
            "Packets that rules on ports and what is decided of places were the first to suit",
        );
        let readable =
            IntGauge::new("skyshield_xdp_counters_readable", "Whether the kernel's counters could be read")?;
        let mut descriptions = Vec::new();
        for opts in [&packets, &bytes] {
            descriptions.extend(IntCounterVec::new(opts.clone(), &LABELS)?.desc().into_iter().cloned());
        }
        descriptions.extend(IntCounterVec::new(events.clone(), &["outcome"])?.desc().into_iter().cloned());
        descriptions.extend(IntCounterVec::new(hits.clone(), &HIT_LABELS)?.desc().into_iter().cloned());
        descriptions.extend(readable.desc().into_iter().cloned());
        Ok(Self { reader: Mutex::new(reader), packets, bytes, events, hits, readable, descriptions })
    }

    fn read(&self) -> Option<Vec<MetricFamily>> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let packets = IntCounterVec::new(self.packets.clone(), &LABELS).ok()?;
        let bytes = IntCounterVec::new(self.bytes.clone(), &LABELS).ok()?;
        for (interface, counters) in reader.by_interface().ok()? {
            for (reason, counter) in counters {
                let verdict = match reason.verdict() {
                    Verdict::Pass => "pass",
                    Verdict::Drop => "drop",
                    Verdict::Answer => "answer",
                };
                let labels = [interface.as_str(), verdict, reason.name()];
                packets.with_label_values(&labels).inc_by(counter.packets);
                bytes.with_label_values(&labels).inc_by(counter.bytes);
            }
        }
        let events = IntCounterVec::new(self.events.clone(), &["outcome"]).ok()?;
        let totals = reader.event_counters().ok()?;
        for (outcome, count) in [("sent", totals.sent), ("skipped", totals.skipped), ("lost", totals.lost)] {
            events.with_label_values(&[outcome]).inc_by(count);
        }
        let hits = IntCounterVec::new(self.hits.clone(), &HIT_LABELS).ok()?;
        for Hit { kind, name, counter } in reader.hits().ok()? {
            hits.with_label_values(&[kind.name(), &name]).inc_by(counter.packets);
        }
        Some([packets.collect(), bytes.collect(), events.collect(), hits.collect()].concat())
    }
}

impl prometheus::core::Collector for Collector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let read = self.read();
        self.readable.set(i64::from(read.is_some()));
        [read.unwrap_or_default(), self.readable.collect()].concat()
    }
}
