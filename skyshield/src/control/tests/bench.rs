//! A host with a model of the kernel and a real disk, and the control tasks that run on it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::*;
use crate::clock;
use crate::dataplane::{
    self, Counters, Enforcer, Entry, EventTotals, Fill, Memory, Reader, Replaced, Rule, Sender, Settings,
    Shape,
};
use crate::engine::behaviour::{self, Behaviour};
use crate::engine::decision::{Layer, Origin};
use crate::engine::escalation;
use crate::engine::incident::{Act, Assessment, Client, Door, IncidentId};
use crate::engine::ledger::Capacity;
use crate::engine::place::Places;
use crate::engine::risk;
use crate::engine::view::View;
use crate::store::{self, DecisionRow, Opened, Record};

/// A model of the kernel that outlives the task, as the pinned maps do.
#[derive(Clone)]
pub(super) struct Kernel {
    memory: Arc<Mutex<Memory>>,
    refuses: Arc<AtomicBool>,
    is_unreadable: Arc<AtomicBool>,
}

impl Kernel {
    pub(super) fn new() -> Self {
        Self::of(&dataplane::Config::default())
    }

    pub(super) fn of(config: &dataplane::Config) -> Self {
        let memory = Arc::new(Mutex::new(Memory::new(config)));
        Self { memory, refuses: Arc::default(), is_unreadable: Arc::default() }
    }

    /// One in which so many prefixes of each family have room.
    pub(super) fn with_room_for(max_prefixes: u32) -> Self {
        Self::of(&dataplane::Config { max_prefixes, ..dataplane::Config::default() })
    }

    /// Whether it refuses to be written to from now on, for a reason of its own.
    pub(super) fn set_refusing(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Whether it says nothing of single entries from now on.
    pub(super) fn set_unreadable(&self, is_unreadable: bool) {
        self.is_unreadable.store(is_unreadable, Ordering::Relaxed);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    /// The number of the ban that a packet from `address` would meet.
    pub(super) fn ban_of(&self, address: &str) -> Option<u64> {
        self.lock().judge(ip(address)).map(|(ban, _)| ban.decision)
    }
}

impl Enforcer for Kernel {
    fn install(&mut self, source: Source, entry: Entry) -> Result<(), dataplane::Error> {
        if self.refuses.load(Ordering::Relaxed) {
            let source = aya::maps::MapError::ElementNotFound;
            return Err(dataplane::Error::Map { what: "write", map: "BANS_V4", source });
        }
        self.lock().install(source, entry)
    }
    fn remove(&mut self, source: Source) -> Result<bool, dataplane::Error> {
        self.lock().remove(source)
    }
    fn get(&self, source: Source) -> Result<Option<Entry>, dataplane::Error> {
        if self.is_unreadable.load(Ordering::Relaxed) {
            let source = aya::maps::MapError::ElementNotFound;
            return Err(dataplane::Error::Map { what: "read", map: "BANS_V4", source });
        }
        self.lock().get(source)
    }
    fn entries(&self) -> Result<Vec<(Source, Entry)>, dataplane::Error> {
        self.lock().entries()
    }
    fn shape(&mut self, source: IpAddr, shape: Option<Shape>) -> Result<(), dataplane::Error> {
        self.lock().shape(source, shape)
    }
    fn load_list(&mut self, list: &dataplane::List) -> Result<Replaced, dataplane::Error> {
        self.lock().load_list(list)
    }

    fn replace_list(&mut self, addresses: &[Ipv4Addr]) -> Result<Replaced, dataplane::Error> {
        self.lock().replace_list(addresses)
    }
    fn set_places(&mut self, places: &Places) -> Result<(), dataplane::Error> {
        self.lock().set_places(places)
    }
    fn set_rules(&mut self, rules: &[Rule]) -> Result<(), dataplane::Error> {
        self.lock().set_rules(rules)
    }
    fn met(&self, source: Source) -> Result<Met, dataplane::Error> {
        self.lock().met(source)
    }
    fn take_senders(&mut self) -> Vec<Sender> {
        self.lock().take_senders()
    }
    fn sweep(&mut self, limit: usize) -> Result<usize, dataplane::Error> {
        self.lock().sweep(limit)
    }
    fn set_allowed(&mut self, sources: &[Source]) -> Result<(), dataplane::Error> {
        self.lock().set_allowed(sources)
    }
    fn allowed(&self) -> Vec<Source> {
        self.lock().allowed()
    }
    fn counters(&self) -> Result<Counters, dataplane::Error> {
        self.lock().counters()
    }
    fn event_counters(&self) -> Result<EventTotals, dataplane::Error> {
        self.lock().event_counters()
    }
    fn fill(&self) -> Vec<Fill> {
        self.lock().fill()
    }
    fn set_settings(&mut self, settings: Settings) -> Result<(), dataplane::Error> {
        self.lock().set_settings(settings)
    }
    fn heartbeat(&mut self, ttl: Option<Duration>) -> Result<(), dataplane::Error> {
        self.lock().heartbeat(ttl)
    }
    fn bypass(&mut self, ttl: Option<Duration>) -> Result<(), dataplane::Error> {
        self.lock().bypass(ttl)
    }
    fn bypass_left(&self) -> Duration {
        self.lock().bypass_left()
    }
    fn reader(&self) -> Result<Box<dyn Reader>, dataplane::Error> {
        self.lock().reader()
    }
}

/// A host: a kernel and a disk, on which one daemon after the other may run.
pub(super) struct Host {
    dir: TempDir,
    pub(super) kernel: Kernel,
    pub(super) never_ban: NeverBan,
    pub(super) capacity: Capacity,
}

/// A daemon's control task, not running yet.
pub(super) struct Idle {
    pub(super) task: Task,
    pub(super) control: Control,
    pub(super) recovered: Recovered,
    pub(super) view: Arc<View>,
    pub(super) metrics: Metrics,
    pub(super) opened: Opened,
}

/// A daemon's control task, running.
pub(super) struct Daemon {
    pub(super) control: Control,
    pub(super) view: Arc<View>,
    pub(super) metrics: Metrics,
    pub(super) opened: Opened,
    pub(super) stop: CancellationToken,
    pub(super) running: JoinHandle<()>,
}

impl Host {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, kernel: Kernel::new(), never_ban: NeverBan::default(), capacity: Capacity::of(1000) }
    }

    pub(super) fn store_config(&self) -> store::Config {
        store::Config { dir: self.dir.path().to_owned(), ..store::Config::default() }
    }

    pub(super) fn database(&self) -> PathBuf {
        self.dir.path().join("skyshield.db")
    }

    /// How a decision ended, as the disk says it; `None` while it is open or where there is none.
    pub(super) fn ended(&self, id: u64) -> Option<String> {
        let connection = rusqlite::Connection::open(self.database()).unwrap();
        let found =
            connection
                .query_row("SELECT ended FROM decisions WHERE id = ?1", [id.cast_signed()], |row| row.get(0));
        found.ok().flatten()
    }

    /// Another process that holds the write lock stands in for a disk that refuses.
    pub(super) fn refusing_disk(&self) -> rusqlite::Connection {
        let other = rusqlite::Connection::open(self.database()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        other
    }

    pub(super) fn idle(&self) -> Idle {
        let opened = store::open(&self.store_config()).unwrap();
        let view = Arc::<View>::default();
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let parts = Parts {
            enforcer: Box::new(self.kernel.clone()),
            store: opened.store.clone(),
            reader: opened.reader.clone(),
            view: Arc::clone(&view),
            never_ban: self.never_ban.clone(),
            risk: risk::Config::default(),
            behaviour: Behaviour::new(
                behaviour::Config::default(),
                behaviour::Key::new([1; 16]),
                clock::now(),
            ),
            escalation: escalation::Config::default(),
            capacity: self.capacity,
            missed_after: None,
        };
        let (task, control, recovered) = Task::new(parts, metrics.clone()).unwrap();
        Idle { task, control, recovered, view, metrics, opened }
    }

    pub(super) fn start(&self) -> Daemon {
        self.idle().run()
    }

    /// Puts rows on the disk, as an earlier daemon would have.
    pub(super) fn keep(&self, records: impl IntoIterator<Item = Record>) {
        let Opened { store, writer, .. } = store::open(&self.store_config()).unwrap();
        for record in records {
            assert!(store.append(record));
        }
        drop(store);
        writer.join().unwrap();
    }
}

impl Idle {
    pub(super) fn run(self) -> Daemon {
        let Self { task, control, view, metrics, opened, .. } = self;
        let stop = CancellationToken::new();
        let running = tokio::spawn(task.run(stop.clone()));
        Daemon { control, view, metrics, opened, stop, running }
    }

    pub(super) fn close(self) {
        let Self { task, opened, .. } = self;
        drop((task, opened.store));
        opened.writer.join().unwrap();
    }
}

impl Daemon {
    /// Whether a request from `address` is refused at the doors because of a ban.
    pub(super) fn is_banned_at_the_doors(&self, address: &str) -> bool {
        self.view.ban_of(ip(address), clock::now()).is_some()
    }

    pub(super) async fn in_force(&self) -> Vec<Decision> {
        self.control.decisions(Wanted { after: None, source: None, limit: 100 }).await.unwrap()
    }

    /// Stops in order, and waits for the disk.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        drop(self.opened.store);
        tokio::task::spawn_blocking(move || self.opened.writer.join().unwrap()).await.unwrap();
    }
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn source(text: &str) -> Source {
    text.parse().unwrap()
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn incident(address: &str, score: f64, by_proxy: bool) -> Incident {
    let mut random = [0; 16];
    getrandom::fill(&mut random).unwrap();
    Incident {
        id: IncidentId::new(clock::wall(), u128::from_ne_bytes(random)),
        at: clock::wall(),
        client: Client { address: ip(address), by_proxy },
        door: Door::Gateway,
        assessment: Assessment {
            bill: risk::Bill::of(vec![risk::Evidence {
                kind: risk::Kind::Finding,
                rule: "test".into(),
                family: "test".into(),
                place: None,
                matched: String::new(),
                confidence: score,
                weight: 1.0,
            }]),
            thresholds: risk::Config::default().thresholds(),
            ..Assessment::default()
        },
        act: if score >= 0.9 { Act::Ban } else { Act::Refuse },
        route: "default".into(),
        findings: Vec::new(),
        method: "GET".to_owned(),
        host: "shop.example".to_owned(),
        target: "/".to_owned(),
        traits: crate::engine::indicators::Traits::default(),
        complete_at: clock::now(),
    }
}

pub(super) fn whom(text: &str, ttl: Option<Duration>) -> NewAllow {
    NewAllow {
        whom: text.parse().unwrap(),
        comment: "test".to_owned(),
        by: "root".to_owned(),
        ttl,
        asked_at: clock::wall(),
        force: false,
    }
}

pub(super) fn by(origin: Origin, address: &str, ttl: Option<Duration>) -> NewBan {
    NewBan {
        source: source(address),
        origin,
        layer: Layer::Packet,
        reason: "test".into(),
        ttl,
        comment: None,
        incident: None,
        asked_at: clock::wall(),
        force: false,
    }
}

pub(super) fn by_operator(address: &str) -> NewBan {
    by(Origin::Operator, address, Some(secs(600)))
}

pub(super) fn row(id: u64, address: &str) -> DecisionRow {
    let made_at_ms = millis(clock::wall()) - 60_000;
    DecisionRow {
        id: DecisionId(id),
        source: address.to_owned(),
        origin: "operator".to_owned(),
        layer: "packet".to_owned(),
        reason: "test".to_owned(),
        comment: String::new(),
        incident: None,
        made_at_ms,
        expires_at_ms: Some(made_at_ms + 600_000),
        enforced_after_us: None,
    }
}

pub(super) fn entry(id: u64) -> Entry {
    Entry { decision: DecisionId(id), origin: Origin::Detector, ttl: Some(secs(500)) }
}

/// Waits, at the most for some seconds, until `holds`.
pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came true: {what}");
}
