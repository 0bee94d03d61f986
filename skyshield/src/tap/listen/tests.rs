use std::sync::{Arc, LazyLock};

use prometheus::Registry;
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::control::{self, Control, Order};
use crate::engine::incident::{Act, Incident};
use crate::engine::risk;
use crate::gateway::{self, Reader, Reading};
use crate::tap::{Progress, Requests};
use crate::verdict::Settings;
use crate::{clock, inspect};

struct Readers(Arc<Reading>);

impl Reads for Readers {
    type Requests = Reader;
    fn requests(&self) -> Reader {
        Reader::new(Arc::clone(&self.0))
    }
    fn may_begin(&self, bytes: &[u8]) -> bool {
        gateway::may_begin_a_request(bytes)
    }
}

/// What the kernel was told.
#[derive(Default)]
struct Told {
    none_before: Vec<u32>,
    taken: usize,
}

impl Copies for Told {
    fn none_before(&mut self, _: &Segment, until: u32) {
        self.none_before.push(until);
    }
    fn taken(&mut self, _: &Segment) {
        self.taken += 1;
    }
}

/// A tap, and everything around it.
struct Bench {
    tap: Tap<Readers>,
    orders: mpsc::Receiver<Order>,
    registry: Registry,
    told: Told,
}

const ORIGIN: u32 = u32::MAX - 40;
const ATTACK: &[u8] =
    b"GET /?id=1%20UNION%20SELECT%20password%20FROM%20users-- HTTP/1.1\r\nHost: shop\r\n\r\n";
const HONEST: &[u8] = b"GET /products/42 HTTP/1.1\r\nHost: shop\r\n\r\n";

/// Rules take a second to compile, and are the same for all.
static SETTINGS: LazyLock<Settings> =
    LazyLock::new(|| Settings::new(&inspect::Limits::default(), &risk::Config::default(), &[]));

impl Bench {
    fn new(config: Config) -> Self {
        let registry = Registry::new();
        let (control, orders) = Control::channel(control::Metrics::new(&Registry::new()).unwrap());
        let settings = SETTINGS.renewed(&inspect::Limits::default(), &risk::Config::default(), &[]);
        let judge = Arc::new(ArcSwap::from_pointee(Judge::new(settings, Arc::default(), control)));
        let reads = Readers(Arc::new(Reading::of(&gateway::Config::default())));
        let metrics = Metrics::new(&registry).unwrap();
        Self { tap: Tap::new(config, reads, judge, metrics), orders, registry, told: Told::default() }
    }

    /// A segment of the client with this number, at `at` of its stream, while the host waits for `received`.
    fn segment(&mut self, client: u32, at: u32, bytes: &[u8], received: u32) -> &mut Self {
        self.segment_with(client, at, bytes, received, 0x18)
    }

    fn segment_with(&mut self, client: u32, at: u32, bytes: &[u8], received: u32, flags: u8) -> &mut Self {
        let source = Address::from_v4(0x0a00_0000 + client);
        let length = u32::try_from(bytes.len()).unwrap();
        let segment = Segment {
            source_high: source.high,
            source_low: source.low,
            destination_low: Address::from_v4(0xc0a8_0001).low,
            seq: ORIGIN.wrapping_add(at),
            origin: ORIGIN,
            received: ORIGIN.wrapping_add(received),
            length,
            bytes: length,
            source_port: 40_000,
            destination_port: 80,
            flags,
            ..Segment::default()
        };
        self.tap.take(&segment, bytes, clock::now(), &mut self.told);
        self
    }

    /// The whole of `bytes`, in segments of so many, each taken by the host before the next.
    fn stream(&mut self, client: u32, bytes: &[u8], step: usize) -> &mut Self {
        let mut at = 0;
        for piece in bytes.chunks(step) {
            self.segment(client, at, piece, at);
            at += u32::try_from(piece.len()).unwrap();
        }
        self
    }

    fn incidents(&mut self) -> Vec<Incident> {
        let mut all = Vec::new();
        while let Ok(order) = self.orders.try_recv() {
            if let Order::Incident(incident, _) = order {
                all.push(*incident);
            }
        }
        all
    }

    fn counted(&self, metric: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == metric).unwrap();
        let metrics = family.get_metric().iter();
        let of = |metric: &&prometheus::proto::Metric| {
            label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label)
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
        metrics.filter(of).map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    fn heard(&self, how: &str) -> u64 {
        self.counted("skyshield_tap_requests_total", how)
    }
}

fn on() -> Config {
    Config { ports: vec![80], ..Config::default() }
}

#[test]
fn an_attack_is_an_incident_of_the_tap_and_its_source_to_be_banned() {
    let mut bench = Bench::new(on());
    bench.stream(7, HONEST, 1_448).stream(8, ATTACK, 1_448);
    let incidents = bench.incidents();
    let [incident] = &incidents[..] else { panic!("{incidents:?}") };
    assert_eq!((incident.door, incident.act), (Door::Tap, Act::Ban));
    assert_eq!(incident.client.address, "10.0.0.8".parse::<IpAddr>().unwrap());
    assert_eq!((bench.heard("whole"), bench.counted("skyshield_tap_verdicts_total", "banned")), (2, 1));
}

#[test]
fn what_a_door_would_refuse_and_not_ban_for_is_flagged() {
    let mut bench = Bench::new(on());
    // Larger than what is inspected of a request's values.
    let many = "a=1&".repeat(12_000);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: shop\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{many}",
        many.len()
    );
    bench.stream(1, request.as_bytes(), 1_448);
    let incidents = bench.incidents();
    assert_eq!(incidents.iter().map(|incident| incident.act).collect::<Vec<_>>(), [Act::Flag]);
}

#[test]
fn however_it_is_cut_the_attack_is_seen() {
    for step in [1, 2, 3, 7, 50] {
        let mut bench = Bench::new(on());
        bench.stream(1, &[HONEST, ATTACK, HONEST].concat(), step);
        assert_eq!((bench.incidents().len(), bench.heard("whole")), (1, 3), "{step}");
    }
    // The other way round, and each piece twice.
    let mut bench = Bench::new(on());
    let pieces: Vec<(u32, &[u8])> = (0..).step_by(9).zip(ATTACK.chunks(9)).collect();
    for (at, piece) in pieces.iter().rev().flat_map(|piece| [piece, piece]) {
        bench.segment(1, *at, piece, 0);
    }
    assert_eq!(bench.incidents().len(), 1);
}

#[test]
fn a_thousand_requests_of_one_connection_are_seen() {
    let mut bench = Bench::new(on());
    let mut all: Vec<u8> = HONEST.repeat(999);
    all.extend(ATTACK);
    bench.stream(1, &all, 1_448);
    assert_eq!((bench.heard("whole"), bench.incidents().len()), (1_000, 1));
    assert!(bench.tap.held() < 10_000);
}

#[test]
fn a_decoy_that_the_host_throws_away_hides_nothing() {
    let mut bench = Bench::new(on());
    let decoy = [&HONEST[..HONEST.len() - 4], b"\r\nX: ", &vec![b'x'; ATTACK.len()], b"\r\n\r\n"].concat();
    bench.segment(1, 0, &decoy, 0).segment(1, 0, ATTACK, 0);
    assert_eq!(bench.incidents().len(), 1);
    assert_eq!(bench.counted("skyshield_tap_odds_total", "contradicting"), 1);
    // Nor when what takes its place comes by the byte.
    let mut bench = Bench::new(on());
    bench.segment(1, 0, HONEST, 0).stream(1, ATTACK, 1);
    assert_eq!((bench.incidents().len(), bench.heard("whole")), (1, 2));
}

#[test]
fn an_early_end_and_what_is_missing_are_counted() {
    let mut bench = Bench::new(on());
    bench.segment_with(1, 0, &ATTACK[..30], 0, 0x19);
    assert_eq!((bench.heard("lost"), bench.tap.flows(), bench.tap.held()), (1, 0, 0));
    // The middle never came, and the host has it.
    let mut bench = Bench::new(on());
    bench.segment(1, 0, &ATTACK[..30], 0).segment(1, 40, &ATTACK[40..], 40);
    assert_eq!((bench.heard("lost"), bench.counted("skyshield_tap_missing_bytes_total", "")), (1, 10));
    // What comes after it is heard again.
    let at = u32::try_from(ATTACK.len()).unwrap();
    bench.segment(1, at, ATTACK, at);
    assert_eq!(bench.incidents().len(), 1);
    assert_eq!(bench.counted("skyshield_tap_streams_total", "joined_in_the_middle"), 1);
}

#[test]
fn what_another_server_would_read_is_inspected_as_well() {
    let mut bench = Bench::new(on());
    let bare = String::from_utf8_lossy(ATTACK).replace("\r\n", "\n");
    bench.stream(1, bare.as_bytes(), 5);
    assert_eq!((bench.incidents().len(), bench.heard("refused_by_the_gateway")), (1, 1));
}

#[test]
fn tls_is_told_of_once_and_not_copied_any_more() {
    let mut bench = Bench::new(on());
    bench.segment(1, 0, b"\x16\x03\x01\x02\x00\x01", 0).segment(2, 0, b"\x16\x03\x01\x02\x00\x01", 0);
    assert_eq!(bench.tap.tls_ports(), [80]);
    assert_eq!(bench.counted("skyshield_tap_streams_total", "tls"), 2);
    assert_eq!(bench.told.none_before.len(), 2);
}

#[test]
fn a_body_beyond_the_limit_is_not_copied_and_what_follows_is_heard() {
    let mut bench = Bench::new(on());
    let length: u32 = 10 << 20;
    let head = format!("POST /up HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n");
    let head_bytes = u32::try_from(head.len()).unwrap();
    let held = [head.as_bytes(), &vec![b'x'; 1 << 20]].concat();
    bench.stream(1, &held, 16_000);
    let end = head_bytes + length;
    assert_eq!(bench.told.none_before, [ORIGIN.wrapping_add(end)]);
    assert!(bench.told.taken > 0);
    // The last segment of the body, with the next request behind it.
    let last = [&[b'x'; 100][..], ATTACK].concat();
    bench.segment(1, end - 100, &last, end - 100);
    assert_eq!((bench.heard("in_part"), bench.heard("whole"), bench.heard("lost")), (1, 1, 0));
    assert_eq!(bench.incidents().len(), 1);
}

#[test]
fn connections_without_end_are_bounded() {
    // A million takes a minute.
    let asked = std::env::var("SKYSHIELD_FLOWS").ok();
    let connections: u32 = asked.map_or(20_000, |asked| asked.parse().unwrap());
    let mut bench = Bench::new(Config { flows: 1_000, held_bytes: 1 << 20, ..on() });
    let half = [b"GET /".as_slice(), &[b'a'; 3_000]].concat();
    for client in 0..connections {
        bench.segment(client, 0, &half, 0);
        assert!(bench.tap.held() <= 1 << 20 && bench.tap.flows() <= 1_000);
    }
    let evicted = bench.counted("skyshield_tap_streams_total", "evicted");
    assert_eq!(evicted + bench.tap.flows() as u64, u64::from(connections));
    assert_eq!(bench.heard("lost"), evicted);
    bench.tap.tidy(clock::now() + Duration::from_secs(500));
    assert_eq!((bench.tap.flows(), bench.tap.held()), (0, 0));
}

#[test]
fn a_new_connection_between_the_same_ports_is_another() {
    let mut bench = Bench::new(on());
    bench.segment(1, 0, &ATTACK[..20], 0);
    let source = Address::from_v4(0x0a00_0001);
    let length = u32::try_from(ATTACK.len()).unwrap();
    let segment = Segment {
        source_low: source.low,
        destination_low: Address::from_v4(0xc0a8_0001).low,
        seq: 77,
        origin: 77,
        received: 77,
        length,
        bytes: length,
        source_port: 40_000,
        destination_port: 80,
        flags: 0x18,
        ..Segment::default()
    };
    bench.tap.take(&segment, ATTACK, clock::now(), &mut Told::default());
    assert_eq!((bench.incidents().len(), bench.heard("lost"), bench.tap.flows()), (1, 1, 1));
}

#[test]
fn an_urgent_byte_is_not_read_as_the_host_does_not() {
    let mut bench = Bench::new(on());
    let hidden = [b"GET /?id=1%20UNI", b"!".as_slice(), &ATTACK[16..]].concat();
    let length = u32::try_from(hidden.len()).unwrap();
    let segment = Segment {
        source_low: Address::from_v4(1).low,
        length,
        bytes: length,
        urgent: 17,
        ..Segment::default()
    };
    bench.tap.take(&segment, &hidden, clock::now(), &mut Told::default());
    assert_eq!((bench.incidents().len(), bench.heard("whole")), (1, 1));
}

proptest! {
    /// Whatever segments come: no panic, and never more kept than there is room for.
    #[test]
    fn no_segments_are_beyond_it(
        segments in prop::collection::vec(
            (0_u32..4, 0_u32..3_000, 0_u32..3_000, any::<u8>(), prop::collection::vec(any::<u8>(), 0..80)),
            0..80,
        ),
    ) {
        let mut bench = Bench::new(Config { flows: 3, held_bytes: 20_000, reorder_bytes: 4_000, ..on() });
        for (client, at, received, flags, bytes) in segments {
            bench.segment_with(client, at, &bytes, received, flags);
            prop_assert!(bench.tap.held() <= 20_000 && bench.tap.flows() <= 3);
        }
    }

    /// Whatever the cuts, the order and the repeats: the attack in it is seen.
    #[test]
    fn an_attack_is_seen_in_any_order(
        cuts in prop::collection::vec((0_usize..140, 1_usize..40), 0..20),
        seed in any::<u64>(),
    ) {
        let text = [HONEST, ATTACK].concat();
        let mut pieces: Vec<(usize, usize)> =
            cuts.into_iter().map(|(at, len)| (at.min(text.len() - 1), len)).collect();
        pieces.extend((0..text.len()).step_by(17).map(|at| (at, 17)));
        let mut order = seed;
        pieces.sort_by_cached_key(|piece| {
            order = order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (order >> 33, *piece)
        });
        let mut bench = Bench::new(on());
        let mut has = vec![false; text.len()];
        for (at, len) in pieces {
            let end = (at + len).min(text.len());
            // The host has what has come without a gap.
            let received = has.iter().take_while(|has| **has).count();
            bench.segment(1, u32::try_from(at).unwrap(), &text[at..end], u32::try_from(received).unwrap());
            has[at..end].fill(true);
        }
        prop_assert_eq!(bench.incidents().len(), 1);
        prop_assert_eq!(bench.heard("lost"), 0);
    }
}

#[test]
fn readers_need_nothing_while_nothing_is_in_progress() {
    let mut reader = Readers(Arc::new(Reading::of(&gateway::Config::default()))).requests();
    Requests::push(&mut reader, HONEST);
    let progress = Requests::read(&mut reader, IpAddr::from([1, 2, 3, 4]), &mut |_, _| {});
    assert_eq!((progress, Requests::held(&reader)), (Progress::Seen { whole: true }, 0));
}
