//! The tap while the daemon runs: what the kernel copies is read by the gateway's own reader.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use prometheus::Registry;
use skyshield_common::tap::Segment;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::tasks;
use crate::dataplane::{FlowWishes, Segments, TapCollector, Tapped};
use crate::engine::incident::Client;
use crate::gateway::{self, Reader, Reading};
use crate::inspect::Request;
use crate::lifecycle::Lifecycle;
use crate::tap::{self, Copies, Progress, Reads, Requests, Tap};
use crate::verdict::Judge;
use crate::{api, clock};

/// While much comes in, it is read this often, and not for every segment.
const PAUSE: Duration = Duration::from_millis(1);
/// How often what is silent is looked for.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// What the kernel is told of the tap.
pub(super) fn tapped(config: &tap::Config) -> Option<Tapped> {
    config.is_on().then(|| Tapped {
        ports: config.ports.clone(),
        ring_bytes: config.ring_bytes,
        flow_bytes: config.flow_bytes.into(),
        flows: config.flows,
    })
}

/// How the gateway reads, for whoever makes readers: each new connection as it is said by then.
struct AsTheGateway(Arc<ArcSwap<Reading>>);

impl Reads for AsTheGateway {
    type Requests = Reader;

    fn requests(&self) -> Reader {
        Reader::new(self.0.load_full())
    }

    fn may_begin(&self, bytes: &[u8]) -> bool {
        gateway::may_begin_a_request(bytes)
    }
}

impl Requests for Reader {
    fn push(&mut self, bytes: &[u8]) {
        self.push(bytes);
    }

    fn read(&mut self, peer: IpAddr, show: &mut dyn FnMut(Client, &Request<'_>)) -> Progress {
        match self.read(peer, show) {
            gateway::Progress::More => Progress::More,
            gateway::Progress::Seen { whole } => Progress::Seen { whole },
            gateway::Progress::Refused(_) => Progress::Refused,
            gateway::Progress::Lost(_) => Progress::Lost,
        }
    }

    fn skip(&mut self, count: u64) -> bool {
        self.skip(count)
    }

    fn unwanted(&self) -> u64 {
        self.unwanted()
    }

    fn held(&self) -> usize {
        self.held()
    }

    fn is_between(&self) -> bool {
        self.is_between()
    }
}

impl Copies for FlowWishes {
    fn none_before(&mut self, segment: &Segment, until: u32) {
        FlowWishes::none_before(self, segment, until);
    }

    fn taken(&mut self, segment: &Segment) {
        FlowWishes::taken(self, segment);
    }
}

/// How the tap reads, and whom it asks: as the gateway does, from one reload to the next.
pub(super) struct Ears {
    judge: Arc<ArcSwap<Judge>>,
    reading: Arc<ArcSwap<Reading>>,
}

impl Ears {
    pub(super) fn new(judge: &Judge, gateway: &gateway::Config) -> Self {
        Self {
            judge: Arc::new(ArcSwap::from_pointee(judge.clone().without_answers())),
            reading: Arc::new(ArcSwap::from_pointee(Reading::of(gateway))),
        }
    }

    /// From now on, of connections that begin.
    pub(super) fn renew(&self, judge: &Judge, gateway: &gateway::Config) {
        self.judge.store(Arc::new(judge.clone().without_answers()));
        self.reading.store(Arc::new(Reading::of(gateway)));
    }
}

/// What the kernel side gives for the tap, and what it will be known by.
pub(super) struct Tapping {
    segments: Segments,
    counters: TapCollector,
    tls_ports: watch::Sender<Vec<u16>>,
}

impl Tapping {
    pub(super) fn new(segments: Segments, counters: TapCollector) -> Self {
        Self { segments, counters, tls_ports: watch::Sender::new(Vec::new()) }
    }

    /// What operators see of it.
    pub(super) fn facts(&self, config: &tap::Config) -> api::Tapped {
        api::Tapped { ports: config.ports.clone(), tls_ports: self.tls_ports.subscribe() }
    }

    /// The tap, that hears by `ears`.
    pub(super) fn listener(self, config: &tap::Config, ears: &Ears, metrics: tap::Metrics) -> Listener {
        let reads = AsTheGateway(Arc::clone(&ears.reading));
        let tap = Tap::new(config.clone(), reads, Arc::clone(&ears.judge), metrics);
        tracing::info!(ports = ?config.ports, "the tap listens; of what TLS carries it understands nothing");
        Listener { segments: self.segments, tap, tls_ports: self.tls_ports }
    }
}

/// Metrics of the tap in `registry`, where there is one.
pub(super) fn metrics(
    tapping: Option<&Tapping>,
    registry: &Registry,
) -> Result<Option<tap::Metrics>, prometheus::Error> {
    let Some(tapping) = tapping else { return Ok(None) };
    registry.register(Box::new(tapping.counters.clone()))?;
    tap::Metrics::new(registry).map(Some)
}

/// Has the listener listen, where there is one.
pub(super) fn spawn(
    lifecycle: &mut Lifecycle,
    listener: Option<Listener>,
    hold: &mpsc::Sender<Infallible>,
    stop: &CancellationToken,
) {
    if let Some(listener) = listener {
        lifecycle.spawn("tap", tasks::held(hold.clone(), listener.run(stop.clone())));
    }
}

/// The tap, and what it reads.
pub(super) struct Listener {
    segments: Segments,
    tap: Tap<AsTheGateway>,
    tls_ports: watch::Sender<Vec<u16>>,
}

impl Listener {
    /// Reads until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { mut segments, mut tap, tls_ports } = self;
        let mut tidied = clock::now();
        let mut pace = Pace::new(tidied);
        loop {
            let count = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                count = next(&mut segments, &mut tap) => count.context("the kernel's copies cannot be read")?,
                () = tokio::time::sleep(TIDY_EVERY) => 0,
            };
            let now = clock::now();
            if now.saturating_duration_since(tidied) >= TIDY_EVERY {
                tidied = now;
                tap.tidy(now);
            }
            if tap.tls_ports() != *tls_ports.borrow() {
                tls_ports.send_replace(tap.tls_ports().to_vec());
            }
            let gathers = pace.gathers(count, now);
            if count >= Segments::BATCH {
                // There is more, and bans that wait for their turn on this thread.
                tokio::task::yield_now().await;
            } else if count > 0 && gathers {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether segments are read as they come, so that a ban follows at once, or let gather, where waking for each
/// would cost more than reading it.
#[derive(Debug)]
struct Pace {
    since: Instant,
    seen: u32,
    gathers: bool,
}

impl Pace {
    /// Segments of a window from which on they gather: 4,000 a second.
    const MANY: u32 = 40;
    const WINDOW: Duration = Duration::from_millis(10);

    const fn new(now: Instant) -> Self {
        Self { since: now, seen: 0, gathers: false }
    }

    /// Takes note of `count` segments read at `now`; whether the next ones are let gather.
    fn gathers(&mut self, count: usize, now: Instant) -> bool {
        self.seen = self.seen.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        let passed = now.saturating_duration_since(self.since);
        if passed >= Self::WINDOW {
            self.gathers = Self::WINDOW.saturating_mul(self.seen) >= passed.saturating_mul(Self::MANY);
            (self.since, self.seen) = (now, 0);
        }
        self.gathers
    }
}

async fn next(segments: &mut Segments, tap: &mut Tap<AsTheGateway>) -> std::io::Result<usize> {
    let mut wishes = segments.wishes();
    segments.next(|segment, held, at| tap.take(segment, held, at, &mut wishes)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_segments_are_read_as_they_come_and_many_gather() {
        let start = clock::now();
        let mut pace = Pace::new(start);
        let mut at = |millis: u64, count: usize| pace.gathers(count, start + Duration::from_millis(millis));
        assert!(!at(500, 1) && !at(505, 20) && !at(509, 19), "not before a window is over");
        assert!(at(511, 20), "59 in 11 ms");
        assert!(at(515, 0), "until the next is over");
        assert!(!at(1600, 60), "60 in a second are few again");
    }
}
