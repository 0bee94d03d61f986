//! What the program copies for the tap: told what to copy, read, and counted.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::maps::{Array, MapData, PerCpuArray};
use prometheus::core::{Collector as _, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, Opts};
use skyshield_common::maps as names;
use skyshield_common::tap::{Fate, Segment, SocketFields, TapCounter, Tapping, hash, word};

use super::btf;
use super::clock;
use super::error::{Error, OpenError};
use super::family::{Value, failed, open};
use super::ring::Ring;
use super::shared::Shared;

/// What is to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tapped {
    /// TCP ports of this host.
    pub ports: Vec<u16>,
    /// Bytes that wait for their reader at the most; a power of two, at least a page.
    pub ring_bytes: u32,
    /// Bytes of one connection that wait for him at the most.
    pub flow_bytes: u64,
    /// Connections that are told apart, in round figures.
    pub flows: u32,
}

/// The smallest ring that the kernel makes.
const LEAST_RING: u32 = 4096;
/// The size of the ring, and how many flows are told apart, where there is a tap or not.
pub(super) fn sizes(tapped: Option<&Tapped>) -> (u32, u32) {
    tapped.map_or((LEAST_RING, 1), |tapped| {
        (tapped.ring_bytes.max(LEAST_RING).next_power_of_two(), tapped.flows.max(1).next_power_of_two())
    })
}

/// Where the running kernel's sockets hold what the program reads of them.
pub(super) fn socket_fields() -> Result<SocketFields, OpenError> {
    let described = std::fs::read(btf::PATH).map_err(|source| OpenError::Types { source })?;
    btf::offsets(&described, skyshield_common::tap::SOCKET_FIELDS)
        .ok_or_else(|| OpenError::Types { source: io::Error::other("they are described otherwise there") })
}

/// Tells the program what to copy.
pub(super) fn say(dir: &Path, tapped: Option<&Tapped>, seed: u64) -> Result<(), Error> {
    let mut settings: Array<MapData, Value<Tapping>> = open(dir, names::TAP)?;
    let mut ports: Array<MapData, u64> = open(dir, names::TAP_PORTS)?;
    let wanted = tapped.map_or(&[][..], |tapped| &tapped.ports);
    for at in 0..names::TAP_PORTS_WORDS {
        let bits = wanted.iter().filter(|&&port| u32::from(port) / 64 == at);
        let bits = bits.fold(0, |bits, port| bits | 1 << (port % 64));
        ports.set(at, bits, 0).map_err(failed("write", names::TAP_PORTS))?;
    }
    let (ring, flows) = sizes(tapped);
    let tapping = tapped.map_or_else(Tapping::default, |tapped| Tapping {
        is_on: 1,
        flow_bytes: tapped.flow_bytes,
        eighth: u64::from(ring / 8),
        seed,
        flows_mask: u64::from(flows - 1),
    });
    settings.set(0, Value(tapping), 0).map_err(failed("write", names::TAP))
}

/// The copied segments, oldest first. There may be one reader in the whole system.
pub struct Segments {
    ring: Ring,
    wishes: FlowWishes,
    counted: Counting,
}

impl Segments {
    /// Records looked at in one go: what they lead to waits for the last of them.
    pub const BATCH: usize = 32;

    pub(super) fn open(dir: &Path, seed: u64) -> Result<Self, Error> {
        Ok(Self {
            ring: Ring::open(dir, names::TAP_RING)?,
            wishes: FlowWishes { flows: Arc::new(Shared::open(dir, names::TAP_FLOWS)?), seed },
            counted: Counting::open(dir)?,
        })
    }

    /// Waits for records and has `each` look at up to [`BATCH`](Self::BATCH) of them, with the moment
    /// each came in; how many. To be called within a Tokio runtime.
    pub async fn next(&mut self, mut each: impl FnMut(&Segment, &[u8], Instant)) -> io::Result<usize> {
        let mut clock = None;
        self.ring.next(Self::BATCH, |record| told(record, &mut clock, &mut each)).await
    }

    /// Has `each` look at up to [`BATCH`](Self::BATCH) records that are there already, without waiting;
    /// how many.
    pub fn poll(&mut self, mut each: impl FnMut(&Segment, &[u8], Instant)) -> usize {
        let mut clock = None;
        self.ring.poll(Self::BATCH, |record| told(record, &mut clock, &mut each))
    }

    /// What there is to say to the program about connections.
    pub fn wishes(&self) -> FlowWishes {
        self.wishes.clone()
    }

    /// What has become of all segments so far.
    pub fn totals(&self) -> Result<TapCounter, Error> {
        self.counted.totals()
    }
}

/// Hands a record on, with the moment it came in; the clocks are read once a batch.
fn told(
    record: &[u8],
    read_at: &mut Option<(Instant, u64)>,
    each: &mut impl FnMut(&Segment, &[u8], Instant),
) {
    let Some((segment, held)) = Segment::from_bytes(record) else { return };
    let &mut (now, now_ns) = read_at.get_or_insert_with(|| (crate::clock::now(), clock::now_ns()));
    let age = Duration::from_nanos(now_ns.saturating_sub(segment.at_ns));
    each(&segment, held, now.checked_sub(age).unwrap_or(now));
}

/// Says to the program what of a connection is wanted.
#[derive(Clone)]
pub struct FlowWishes {
    flows: Arc<Shared>,
    seed: u64,
}

impl FlowWishes {
    fn place(&self, segment: &Segment) -> (u64, usize) {
        let ports = u32::from(segment.source_port) << 16 | u32::from(segment.destination_port);
        let hash = hash(segment.source(), segment.destination_low, ports, self.seed);
        let last = self.flows.words().len() / 2 - 1;
        #[expect(clippy::cast_possible_truncation, reason = "masked to the table")]
        let at = hash as usize & last;
        (hash, at * 2)
    }

    /// Nothing more of the connection before the byte of this number.
    pub fn none_before(&self, segment: &Segment, until: u32) {
        let (hash, at) = self.place(segment);
        self.flows.store(at, word(hash, until));
    }

    /// What was copied of it has been taken.
    pub fn taken(&self, segment: &Segment) {
        let (_, at) = self.place(segment);
        self.flows.store(at + 1, 0);
    }
}

/// Reads what the program has counted of the tap.
#[derive(Clone)]
struct Counting(Arc<PerCpuArray<MapData, Value<TapCounter>>>);

impl Counting {
    fn open(dir: &Path) -> Result<Self, Error> {
        open(dir, names::TAP_STATS).map(|map| Self(Arc::new(map)))
    }

    fn totals(&self) -> Result<TapCounter, Error> {
        let per_cpu = self.0.get(&0, 0).map_err(failed("read", names::TAP_STATS))?;
        let mut sum = TapCounter::default();
        for Value(one) in per_cpu.iter() {
            for (sum, one) in sum.count.iter_mut().zip(one.count) {
                *sum = sum.wrapping_add(one);
            }
            for (sum, one) in sum.bytes.iter_mut().zip(one.bytes) {
                *sum = sum.wrapping_add(one);
            }
        }
        Ok(sum)
    }
}

/// The program's counters of the tap as metrics, read when the page is asked for. Clones count the same.
#[derive(Clone)]
pub struct TapCollector {
    counted: Counting,
    segments: Opts,
    bytes: Opts,
    descriptions: Vec<Desc>,
}

impl TapCollector {
    /// A collector of what the program under `dir` counts.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let segments = Opts::new(
            "skyshield_tap_segments_total",
            "Segments to tapped ports that carried something, by what became of them",
        );
        let bytes =
            Opts::new("skyshield_tap_bytes_total", "What those segments carried, by what became of it");
        let mut descriptions = Vec::new();
        for opts in [&segments, &bytes] {
            if let Ok(family) = IntCounterVec::new(opts.clone(), &["fate"]) {
                descriptions.extend(family.desc().into_iter().cloned());
            }
        }
        Ok(Self { counted: Counting::open(dir)?, segments, bytes, descriptions })
    }
}

impl prometheus::core::Collector for TapCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(totals) = self.counted.totals() else { return Vec::new() };
        let families = [(&self.segments, totals.count), (&self.bytes, totals.bytes)];
        let told = families.into_iter().filter_map(|(opts, counts)| {
            let family = IntCounterVec::new(opts.clone(), &["fate"]).ok()?;
            for (fate, count) in Fate::ALL.into_iter().zip(counts) {
                family.with_label_values(&[fate.name()]).inc_by(count);
            }
            Some(family.collect())
        });
        told.flatten().collect()
    }
}
