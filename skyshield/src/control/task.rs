//! The task: one order after the other, timeouts in between.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::allows;
use super::enact::Committed;
use super::happenings::Teller;
use super::imports;
use super::kernel::Senders;
use super::let_through::LetThrough;
use super::near_misses;
use super::no_room::Untold;
use super::outcomes::Outcomes;
use super::reconcile::Look;
use super::recover::{self, RecoverError, Recovered};
use super::rulings;
use super::{Control, Metrics, Order, exceptions};
use crate::clock;
use crate::dataplane::Enforcer;
use crate::engine::allow::AllowList;
use crate::engine::behaviour::{Behaviour, Signal};
use crate::engine::decision::{Decision, DecisionId, Ended, NewBan, Origin};
use crate::engine::escalation::{self, Escalation};
use crate::engine::fronting::Fronting;
use crate::engine::incident::Incident;
use crate::engine::ledger::{Banned, Capacity, Ledger, Rejected};
use crate::engine::never_ban::{NeverBan, Protection};
use crate::engine::risk;
use crate::engine::ruling::Docket;
use crate::engine::shaping::Shaper;
use crate::engine::source::Source;
use crate::engine::view::View;
use crate::exceptions::Live;
use crate::store::{Reader, Record, Store};

/// How often the kernel is looked after: told that the daemon lives, freed of what has ended, counted.
const TEND_EVERY: Duration = Duration::from_secs(1);
/// Ended bans freed at a time.
const SWEEP: usize = 1024;
/// How often the detectors are told what became of requests.
const OBSERVE_EVERY: Duration = Duration::from_millis(100);
/// How often store, ledger and kernel are compared.
const RECONCILE_EVERY: Duration = Duration::from_secs(10);
/// A record younger than this may still be on its way to the disk.
const SETTLE: Duration = Duration::from_secs(5);
/// How often faded standings are forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(1);
/// Orders of one turn, so that timeouts are never starved.
const TURN: usize = 64;

/// Decisions are numbered from 1.
const NO_DECISION: DecisionId = DecisionId(0);

/// The writer's counts at the last look.
#[derive(Clone, Copy, Debug, Default)]
struct Writes {
    written: u64,
    failed: u64,
}

/// The control task.
pub struct Task {
    pub(super) ledger: Ledger,
    pub(super) enforcer: Box<dyn Enforcer>,
    pub(super) store: Store,
    pub(super) metrics: Metrics,
    pub(super) commits: JoinSet<Committed>,
    pub(super) allows: AllowList,
    pub(super) allow_changes: JoinSet<allows::Change>,
    pub(super) docket: Docket,
    pub(super) fronting: Fronting,
    pub(super) near: near_misses::Budget,
    pub(super) ruling_changes: JoinSet<rulings::Change>,
    /// Sources that were found to be let through.
    pub(super) spared: JoinSet<Vec<Source>>,
    pub(super) let_through: LetThrough,
    pub(super) imports: JoinSet<imports::Committed>,
    /// What the host protects by itself.
    pub(super) host_protected: Arc<NeverBan>,
    pub(super) drift: usize,
    pub(super) unmended: usize,
    /// Why, as it was told.
    pub(super) unmended_for: BTreeSet<String>,
    pub(super) waiting_for_room: usize,
    /// Whom no decision may cut off, and whom the kernel has no room for.
    pub(super) left_out: usize,
    pub(super) untold: Untold,
    pub(super) store_writes: bool,
    /// How many orders against each source are on their way to the disk.
    pub(super) waiting: HashMap<Source, usize>,
    /// What each operator's ban on its way to the disk took the place of.
    pub(super) replaced: HashMap<DecisionId, Option<Decision>>,
    writes_seen: Writes,
    pub(super) settle: Duration,
    pub(super) dataplane_answers: bool,
    pub(super) missed_after: Option<Duration>,
    /// When it was last told that the kernel side is bypassed; none where it is not.
    pub(super) bypass_told_at: Option<Instant>,
    pub(super) reader: Reader,
    pub(super) risk: risk::Config,
    pub(super) escalation: Escalation,
    pub(super) widen_for: Duration,
    pub(super) view: Arc<View>,
    pub(super) exceptions: Arc<Live>,
    pub(super) outcomes: Arc<Outcomes>,
    pub(super) told: broadcast::Sender<Arc<Incident>>,
    pub(super) behaviour: Behaviour,
    pub(super) signals: Vec<Signal>,
    pub(super) shaper: Shaper,
    pub(super) senders: Senders,
    /// Exceptions on their way to the disk.
    pub(super) excepting: JoinSet<()>,
    queue: mpsc::Receiver<Order>,
    pub(super) teller: Teller,
    pub(super) looks: JoinSet<Look>,
    pub(super) capacity: Capacity,
}

/// What the control task drives.
pub struct Parts {
    /// The kernel, or what stands in for it.
    pub enforcer: Box<dyn Enforcer>,
    /// The disk.
    pub store: Store,
    /// Reads beside it.
    pub reader: Reader,
    /// The published view.
    pub view: Arc<View>,
    /// Whom no decision may cut off, as far as known at start.
    pub never_ban: NeverBan,
    /// Where scores turn into acts.
    pub risk: risk::Config,
    /// Watches what sources do over time.
    pub behaviour: Behaviour,
    /// How bans grow.
    pub escalation: escalation::Config,
    /// How much there is room for.
    pub capacity: Capacity,
    /// For how long the kernel does without the daemon, where it is to miss it at all.
    pub missed_after: Option<Duration>,
}

impl Task {
    /// The task, with what was in force before a restart taken up; its handle; and what was taken up.
    pub fn new(parts: Parts, metrics: Metrics) -> Result<(Self, Control, Recovered), RecoverError> {
        let Parts {
            mut enforcer,
            store,
            reader,
            view,
            never_ban,
            risk,
            escalation,
            behaviour,
            capacity,
            missed_after,
        } = parts;
        let host_protected = Arc::new(never_ban);
        let allows = allows::kept(&reader, clock::now(), clock::wall())?;
        let never_ban = allows::together(&host_protected, &allows);
        let docket = rulings::kept(&reader, clock::now(), clock::wall())?;
        let (ledger, recovered) = recover::recover(
            recover::From {
                capacity,
                view: Arc::clone(&view),
                never_ban,
                store: &store,
                reader: &reader,
                metrics: &metrics,
            },
            enforcer.as_mut(),
            clock::now(),
            clock::wall(),
        )?;
        let widen_for = Duration::from_secs(escalation.widen_secs);
        let escalation = recover::escalation(escalation, &risk, &reader, clock::now(), clock::wall())?;
        let (control, queue) = Control::channel(metrics.clone());
        let kept = exceptions::kept(&reader, clock::now(), clock::wall())?;
        control.exceptions().change(|_none| kept.clone());
        let shaper = Shaper::new(risk.shaping());
        let task = Self {
            ledger,
            enforcer,
            store,
            metrics,
            commits: JoinSet::new(),
            allows,
            allow_changes: JoinSet::new(),
            docket,
            fronting: Fronting::default(),
            near: near_misses::Budget::default(),
            ruling_changes: JoinSet::new(),
            spared: JoinSet::new(),
            let_through: LetThrough::telling(&control),
            imports: JoinSet::new(),
            host_protected,
            drift: 0,
            unmended: 0,
            unmended_for: recovered.untaken.keys().cloned().collect(),
            waiting_for_room: recovered.without_room,
            left_out: recovered.left_out,
            untold: Untold::default(),
            store_writes: true,
            waiting: HashMap::new(),
            replaced: HashMap::new(),
            writes_seen: Writes::default(),
            settle: SETTLE,
            dataplane_answers: true,
            missed_after,
            bypass_told_at: None,
            reader,
            widen_for,
            escalation,
            risk,
            view,
            exceptions: Arc::clone(control.exceptions()),
            outcomes: Arc::clone(&control.outcomes),
            told: control.told.clone(),
            behaviour,
            signals: Vec::new(),
            shaper,
            senders: Senders::default(),
            excepting: JoinSet::new(),
            queue,
            teller: control.teller.clone(),
            looks: JoinSet::new(),
            capacity,
        };
        Ok((task, control, recovered))
    }

    /// Runs until `stop`, then finishes what was begun.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tend = every(TEND_EVERY);
        let mut observe = every(OBSERVE_EVERY);
        let mut reconcile = every(RECONCILE_EVERY);
        let mut forget = every(FORGET_EVERY);
        let mut orders = Vec::with_capacity(TURN);
        self.enact(None);
        self.publish_rulings();
        loop {
            let deadlines = [
                self.ledger.poll_timeout(),
                self.allows.poll_timeout(),
                self.docket.poll_timeout(),
                self.shaper.poll_timeout(),
            ];
            let deadline = deadlines.into_iter().flatten().min();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                taken = self.queue.recv_many(&mut orders, TURN) => {
                    if taken == 0 { break }
                    for order in orders.drain(..) { self.obey(order) }
                }
                Some(Ok(committed)) = self.commits.join_next() => self.committed(committed),
                Some(Ok(change)) = self.allow_changes.join_next() => self.allow_changed(change),
                Some(Ok(change)) = self.ruling_changes.join_next() => self.ruling_changed(change),
                Some(Ok(committed)) = self.imports.join_next() => self.imported(committed),
                Some(Ok(sources)) = self.spared.join_next() => self.let_go(sources),
                () = sleep_until(deadline) => {
                    self.ledger.handle_timeout(clock::now());
                    self.shaper.handle_timeout(clock::now());
                    self.end_allows();
                    self.end_rulings();
                    self.enact(None);
                }
                Some(Ok(found)) = self.looks.join_next() => self.mend(found),
                _ = tend.tick() => self.tend(),
                _ = observe.tick() => self.observe(),
                _ = reconcile.tick() => self.look(),
                _ = forget.tick() => {
                    self.view.forget_faded(clock::now());
                    self.forget_repeats();
                    self.forget_exceptions();
                }
            }
        }
        // What the doors reported last may still wait.
        self.queue.close();
        while let Ok(order) = self.queue.try_recv() {
            self.obey(order);
        }
        while let Some(Ok(committed)) = self.commits.join_next().await {
            self.committed(committed);
        }
        while self.excepting.join_next().await.is_some() {}
        while let Some(Ok(change)) = self.allow_changes.join_next().await {
            self.allow_changed(change);
        }
        while let Some(Ok(change)) = self.ruling_changes.join_next().await {
            self.ruling_changed(change);
        }
        while let Some(Ok(committed)) = self.imports.join_next().await {
            self.imported(committed);
        }
    }

    pub(super) fn ban(&mut self, new: NewBan) -> Result<Banned, Rejected> {
        let origin = new.origin.name();
        let outcome = self.may_ban(&new).and_then(|()| self.ledger.ban(new, clock::now()));
        let told = match &outcome {
            Ok(Banned::Made(_)) => "made",
            Ok(Banned::Extended(_)) => "extended",
            Ok(Banned::Kept(_)) => "kept",
            Err(Rejected::Protected { .. }) => "protected",
            Err(Rejected::TooWide(_)) => "too_wide",
            Err(Rejected::Full { .. }) => "full",
            Err(Rejected::NoRoom { .. }) => "no_room",
        };
        self.metrics.bans.with_label_values(&[origin, told]).inc();
        outcome
    }

    /// Whether nobody lets the place of the address through.
    pub(super) fn may_ban(&self, new: &NewBan) -> Result<(), Rejected> {
        let lets_through = new.source.is_host() && self.view.lets_through(new.source.address(), clock::now());
        if lets_through {
            return Err(Rejected::Protected { whom: new.source, why: Protection::AllowedPlace });
        }
        Ok(())
    }

    fn tend(&mut self) {
        self.watch_writes();
        self.watch_senders();
        let missed_after = self.missed_after;
        let tended = self
            .enforcer
            .sweep(SWEEP)
            .and_then(|_freed| self.enforcer.counters())
            .and_then(|_counted| missed_after.map_or(Ok(()), |ttl| self.enforcer.heartbeat(Some(ttl))))
            .and_then(|()| self.watch_bypass());
        if let Err(error) = &tended
            && self.dataplane_answers
        {
            tracing::error!(%error, "the kernel's maps do not answer");
        }
        self.dataplane_answers = tended.is_ok();
        for fill in self.enforcer.fill() {
            self.metrics.map_entries.with_label_values(&[fill.map]).set(fill.entries.into());
            self.metrics.map_capacity.with_label_values(&[fill.map]).set(fill.capacity.into());
        }
    }

    /// Whether the disk takes writes, from what the writer counts. After a failure something is
    /// written that changes nothing, or a daemon that nobody asks anything would stay unwell.
    fn watch_writes(&mut self) {
        let counters = self.store.counters();
        let seen = Writes { written: counters.written(), failed: counters.failed_commits() };
        if seen.failed > self.writes_seen.failed {
            self.store_writes = false;
        } else if seen.written > self.writes_seen.written {
            self.store_writes = true;
        }
        self.writes_seen = seen;
        if !self.store_writes {
            let nothing = Record::Ended { id: NO_DECISION, cause: Ended::Expired, at_ms: 0 };
            self.store.append(nothing);
        }
    }

    pub(super) fn publish_counts(&self) {
        for origin in Origin::ALL {
            let count = i64::try_from(self.ledger.count_of(origin)).unwrap_or(i64::MAX);
            self.metrics.decisions_in_force.with_label_values(&[origin.name()]).set(count);
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
