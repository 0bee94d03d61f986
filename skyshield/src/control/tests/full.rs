//! What does not fit: said to whoever asks, in force nowhere by halves, and never a reason not to start.

mod allowed;
mod lists;
mod mended;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::bench::{Host, Idle, Kernel, by, by_operator, row, secs, source};
use crate::clock;
use crate::control::reconcile::look;
use crate::control::*;
use crate::dataplane::{self, Enforcer as _};
use crate::engine::decision::{Layer, Origin};
use crate::engine::ledger::{Capacity, Rejected};
use crate::store::{DecisionRow, Record};

/// Lines of the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// What `work` logs, as lines that hold `what`.
    fn of<T>(what: &str, work: impl FnOnce() -> T) -> (T, Vec<String>) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        let done = tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        (done, text.lines().filter(|line| line.contains(what)).map(str::to_owned).collect())
    }
}

/// A host whose kernel has room for so many prefixes, and whose ledger knows of it.
fn host(prefixes: u32) -> Host {
    let mut host = Host::new();
    host.kernel = Kernel::with_room_for(prefixes);
    host.capacity = Capacity { bans: 1000, prefixes: prefixes as usize };
    host
}

/// A host whose kernel turns out to have less room than the ledger knows of.
fn surprised(prefixes: u32) -> Host {
    let mut host = host(prefixes);
    host.capacity = Capacity::of(1000);
    host
}

fn kept(id: u64, whom: &str, origin: Origin, secs: i64) -> Record {
    let row = row(id, whom);
    let expires_at_ms = Some(millis(clock::wall()) + secs * 1000);
    Record::Decision(DecisionRow { origin: origin.name().to_owned(), expires_at_ms, ..row })
}

fn mend(host: &Host, idle: &mut Idle) {
    let entries = host.kernel.lock().reader().unwrap();
    idle.task.mend(look(entries.as_ref(), &idle.opened.reader, &idle.view));
}

fn in_kernel(host: &Host) -> Vec<u64> {
    let mut numbers: Vec<_> =
        host.kernel.lock().entries().unwrap().into_iter().map(|(_, entry)| entry.decision.0).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_restart_with_smaller_tables_installs_what_is_most_wanted_and_serves() {
    let host = host(2);
    host.keep([
        kept(1, "203.0.113.0/28", Origin::Detector, 3600),
        kept(2, "203.0.113.16/28", Origin::Operator, 600),
        kept(3, "203.0.113.32/28", Origin::Detector, 7200),
        kept(4, "203.0.113.48/28", Origin::Detector, 1800),
        kept(5, "2001:db8::/48", Origin::Detector, 600),
        kept(6, "198.51.100.7", Origin::Detector, 600),
    ]);
    let (mut idle, told) = Log::of("hold at the doors only", || host.idle());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("bans=2") && told[0].contains("dataplane.max_prefixes"), "{told:?}");
    assert_eq!((idle.recovered.reinstalled, idle.recovered.without_room), (4, 2));
    assert_eq!(in_kernel(&host), [2, 3, 5, 6], "the operator's, and then what lasts longest");
    assert_eq!(idle.metrics.waiting_for_room.get(), 2);
    assert_eq!(idle.metrics.map_full.with_label_values(&["PREFIXES_V4"]).get(), 2);

    // What waits is neither drift nor mended, and is told no second time.
    let ((), told) = Log::of("mended", || mend(&host, &mut idle));
    assert_eq!(told, <[&str; 0]>::default());
    assert_eq!((idle.metrics.drift.get(), idle.metrics.waiting_for_room.get()), (0, 2));
    assert_eq!(idle.metrics.repairs.with_label_values(&["missing"]).get(), 0);
    assert_eq!(idle.task.health().waiting_for_room, 2);
    assert!(!idle.task.health().is_in_step());

    let daemon = idle.run();
    assert!(daemon.is_banned_at_the_doors("203.0.113.1"));
    let full = daemon.control.ban(by_operator("192.0.2.0/28")).await.unwrap_err();
    assert!(matches!(full, OrderError::Rejected(Rejected::NoRoom { .. })), "who waits comes first: {full}");
    daemon.control.lift(Target::Source(source("203.0.113.16/28"))).await.unwrap();
    daemon.stop().await;

    // Where there is room again, it is taken; and a start with what still waits is no worse.
    let idle = host.idle();
    assert_eq!((idle.recovered.reinstalled, idle.recovered.without_room), (1, 1));
    assert_eq!(in_kernel(&host), [1, 3, 5, 6]);
    idle.close();
}

#[tokio::test]
async fn a_restart_is_not_kept_from_by_a_kernel_that_refuses() {
    let host = Host::new();
    host.keep([kept(1, "203.0.113.7", Origin::Operator, 600), kept(2, "203.0.113.8", Origin::Operator, 600)]);
    host.kernel.set_refusing(true);
    let mut idle = host.idle();
    assert_eq!((idle.recovered.reinstalled, idle.recovered.without_room), (0, 0));
    assert_eq!(idle.recovered.untaken.values().copied().collect::<Vec<_>>(), [2]);
    host.kernel.set_refusing(false);
    mend(&host, &mut idle);
    assert_eq!(in_kernel(&host), [1, 2]);
    idle.close();
}

#[tokio::test]
async fn what_waits_for_room_gets_it_when_there_is_some() {
    let host = host(1);
    host.keep([
        kept(1, "203.0.113.0/28", Origin::Operator, 600),
        kept(2, "203.0.113.16/28", Origin::Detector, 600),
        kept(3, "203.0.113.32/28", Origin::Operator, 60),
    ]);
    let mut idle = host.idle();
    assert_eq!(in_kernel(&host), [1]);
    idle.task.ledger.lift(source("203.0.113.0/28"), clock::now());
    idle.task.enact(None);
    mend(&host, &mut idle);
    assert_eq!(in_kernel(&host), [3], "an operator's before a detector's, however long that lasts");
    assert_eq!(idle.metrics.waiting_for_room.get(), 1);
    idle.close();
}

#[tokio::test]
async fn an_operators_ban_for_which_there_is_no_room_is_begun_nowhere() {
    let host = host(1);
    let daemon = host.start();
    daemon.control.ban(by_operator("203.0.113.0/28")).await.unwrap();
    let refused = daemon.control.ban(by_operator("203.0.113.16/28")).await.unwrap_err();
    assert!(matches!(refused, OrderError::Rejected(Rejected::NoRoom { .. })), "{refused}");
    assert_eq!(daemon.metrics.bans.with_label_values(&["operator", "no_room"]).get(), 1);
    assert_eq!(daemon.in_force().await.len(), 1);
    assert!(!daemon.is_banned_at_the_doors("203.0.113.17"));
    let reader = daemon.opened.reader.clone();
    daemon.stop().await;
    assert_eq!(reader.decisions_in_force(0).unwrap().len(), 1);
    assert_eq!(reader.last_decision().unwrap(), 1, "nor is it on disk");
}

#[tokio::test]
async fn an_operators_ban_that_the_kernel_has_no_room_for_is_undone() {
    let host = surprised(1);
    let daemon = host.start();
    let at_the_doors =
        NewBan { layer: Layer::Request, ..by(Origin::Detector, "203.0.113.16/28", Some(secs(600))) };
    daemon.control.ban(at_the_doors).await.unwrap();
    daemon.control.ban(by_operator("203.0.113.0/28")).await.unwrap();
    let refused = daemon.control.ban(by_operator("203.0.113.16/28")).await.unwrap_err();
    assert!(matches!(refused, OrderError::NoRoom(_)), "{refused}");
    let held: Vec<_> = daemon.in_force().await.into_iter().map(|held| held.id.0).collect();
    assert_eq!(held, [1, 2], "what it was to replace is still there");
    assert!(daemon.is_banned_at_the_doors("203.0.113.17"));
    let reader = daemon.opened.reader.clone();
    daemon.stop().await;
    assert_eq!(host.ended(3).as_deref(), Some("no_room"));
    assert_eq!(host.ended(1), None);
    assert_eq!(reader.decisions_in_force(0).unwrap().len(), 2);
}

#[tokio::test]
async fn a_detectors_ban_that_does_not_fit_is_counted_evicts_nobody_and_is_told_once() {
    let host = surprised(1);
    let mut idle = host.idle();
    let mut ban = |whom: &str, origin| {
        idle.task.ban(by(origin, whom, Some(secs(600)))).unwrap();
        idle.task.enact(None);
    };
    ban("203.0.113.0/28", Origin::Operator);
    let ((), told) = Log::of("finds no room", || {
        for nth in 1..=5 {
            ban(&format!("203.0.113.{}/28", nth * 16), Origin::Detector);
        }
    });
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(in_kernel(&host), [1]);
    assert_eq!(idle.metrics.map_full.with_label_values(&["PREFIXES_V4"]).get(), 5);
    assert!(
        idle.view.ban_of("203.0.113.17".parse().unwrap(), clock::now()).is_some(),
        "it holds at the doors"
    );
    mend(&host, &mut idle);
    assert_eq!(idle.metrics.waiting_for_room.get(), 5);
    idle.close();
}

#[test]
fn a_full_map_says_which_key_makes_it_larger() {
    for (map, key) in
        [("PREFIXES_V6", "max_prefixes"), ("BANS_V4", "max_bans"), ("ALLOWED_V4", "max_allowed")]
    {
        let told = dataplane::Error::Full { map, capacity: 2 }.to_string();
        assert_eq!(told, format!("{map} is full at 2 entries; lift some, or raise dataplane.{key}"));
    }
}
