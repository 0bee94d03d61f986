//! The one task that owns the ledger and carries out its effects; its handle.

mod allows;
mod behaviour;
mod bypass;
mod enact;
mod error;
mod exceptions;
mod fronting;
mod happenings;
mod health;
mod imports;
mod incidents;
mod kernel;
mod let_through;
mod metrics;
mod near_misses;
mod no_room;
mod orders;
mod outcomes;
mod reconcile;
mod records;
mod recover;
mod rulings;
mod task;
mod told;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast, mpsc, oneshot};

use crate::engine::allow::{Allow, DnsName, NewAllow};
use crate::engine::behaviour::Signal;
use crate::engine::decision::{Decision, DecisionId, NewBan};
use crate::engine::incident::{Assessment, Incident};
use crate::engine::ledger::Banned;
use crate::engine::never_ban::NeverBan;
use crate::engine::risk::{Bill, Score, Thresholds};
use crate::engine::ruling::{NewRuling, Ruling};
use crate::engine::source::Source;
use crate::engine::{escalation, risk};
use crate::exceptions::{Exception, Held, Live};

pub use crate::dataplane::{LONGEST_BYPASS, Met};
pub use allows::AllowTarget;
pub use error::OrderError;
pub use happenings::{Change, Happenings};
pub use health::Health;
pub use imports::{Batch, Imported, Item, MAX_IMPORT};
pub use kernel::{KernelOrder, Seen};
use outcomes::Outcomes;

pub use metrics::Metrics;
pub(crate) use records::{millis, moment};
pub use recover::{RecoverError, Recovered};
pub use rulings::RulingTarget;
pub use task::{Parts, Task};

/// Orders and reports that may wait; beyond it a report is dropped and counted, and an order refused.
pub const QUEUE: usize = 4096;

/// What reaches the control task.
#[derive(Debug)]
pub enum Order {
    /// A request was refused.
    Incident(Box<Incident>, oneshot::Sender<()>),
    /// Somebody asks for a ban.
    Ban {
        /// Whom, and why.
        new: NewBan,
        /// Whether what is held against him names another client.
        forwards: bool,
        /// What came of it.
        reply: oneshot::Sender<Result<Banned, OrderError>>,
    },
    /// Somebody takes a ban back.
    Lift(Target, oneshot::Sender<Result<Decision, OrderError>>),
    /// Somebody wants to see what is in force.
    List(Wanted, oneshot::Sender<Vec<Decision>>),
    /// Somebody asks how things are.
    Health(oneshot::Sender<Health>),
    /// What the host protects by itself has changed.
    NeverBan(Arc<NeverBan>),
    /// What detectors' bans come to has changed.
    Sentences(Box<(risk::Config, escalation::Config)>),
    /// A request of this score passed, and its source is to be slowed down.
    Suspect(IpAddr, Score),
    /// A request passed although something spoke against it.
    NearMiss(Arc<str>, Box<Assessment>),
    /// Somebody asks what is known of a source.
    Bill(IpAddr, oneshot::Sender<(Bill, Thresholds)>),
    /// Somebody makes an exception.
    Except(Box<Exception>, oneshot::Sender<Result<Arc<Held>, OrderError>>),
    /// Somebody takes the exception of this id back.
    Unexcept(String, oneshot::Sender<Result<Arc<Held>, OrderError>>),
    /// Somebody rules about a network, a country, a user, or the rate of a source.
    Rule(NewRuling, oneshot::Sender<Result<Arc<Ruling>, OrderError>>),
    /// Somebody takes a ruling back.
    Overrule(RulingTarget, oneshot::Sender<Result<Arc<Ruling>, OrderError>>),
    /// Somebody wants to see so many of the rulings above a number.
    Rulings(Option<DecisionId>, usize, oneshot::Sender<Vec<Arc<Ruling>>>),
    /// Somebody brings many decisions at once.
    Import(Batch, oneshot::Sender<Result<Imported, OrderError>>),
    /// Somebody lets a source through.
    Allow(NewAllow, oneshot::Sender<Result<Allow, OrderError>>),
    /// Somebody takes that back.
    Disallow(AllowTarget, oneshot::Sender<Result<Allow, OrderError>>),
    /// Somebody wants to see the allow list.
    Allows(oneshot::Sender<Vec<Allow>>),
    /// Somebody wants to see whom no decision may cut off.
    Protected(oneshot::Sender<Arc<NeverBan>>),
    /// Somebody is to be erased: what is known of the past of these sources.
    Forget(Source, oneshot::Sender<()>),
    /// A name on the allow list has these addresses now.
    Resolved(DnsName, Vec<IpAddr>),
    /// Something is wanted of the kernel side.
    Kernel(KernelOrder),
}

/// Which decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Those with a number above this.
    pub after: Option<DecisionId>,
    /// The one against exactly this source.
    pub source: Option<Source>,
    /// So many at the most.
    pub limit: usize,
}

/// Which ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one with this number.
    Decision(DecisionId),
    /// The one against exactly this source.
    Source(Source),
}

/// Resolves when what a report led to is in force.
#[derive(Debug, Default)]
pub struct Settled(Option<oneshot::Receiver<()>>);

impl Settled {
    /// Waits for it, `patience` at the most.
    pub async fn wait(&mut self, patience: Duration) {
        if let Some(settled) = self.0.take() {
            // Late or lost, whoever waits goes on: a refusal does not hang on its ban.
            let _in_time = tokio::time::timeout(patience, settled).await;
        }
    }
}

/// The handle to the control task.
#[derive(Clone, Debug)]
pub struct Control {
    orders: mpsc::Sender<Order>,
    metrics: Metrics,
    exceptions: Arc<Live>,
    outcomes: Arc<Outcomes>,
    teller: happenings::Teller,
    told: broadcast::Sender<Arc<Incident>>,
    let_through: Arc<Notify>,
}

impl Control {
    /// A handle, and the queue its task reads.
    pub fn channel(metrics: Metrics) -> (Self, mpsc::Receiver<Order>) {
        let (orders, queue) = mpsc::channel(QUEUE);
        let (teller, told) = (happenings::Teller::new(), incidents::telling());
        let (exceptions, outcomes, let_through) = (Arc::default(), Arc::default(), Arc::default());
        (Self { orders, metrics, exceptions, outcomes, teller, told, let_through }, queue)
    }

    /// What happens; only the first who asks follows.
    pub fn follow(&self) -> Option<Happenings> {
        self.teller.follow()
    }

    /// Forgets the past of the sources in `source`, for whoever is to be erased. Decisions are lifted, and entries of
    /// the allow list taken back, beside this.
    pub async fn forget(&self, source: Source) -> Result<(), OrderError> {
        self.order(|reply| Order::Forget(source, reply)).await
    }

    /// Counts that an inspection reached `limit`, a name from a bounded set.
    pub fn count_limit(&self, limit: &'static str) {
        self.metrics.inspection_limits.with_label_values(&[limit]).inc();
    }

    /// Tells what became of a request that was answered. Never waits: what finds no room is dropped and
    /// counted.
    pub fn tell(&self, signal: Signal) {
        self.outcomes.tell(signal);
    }

    /// Hands over what was told and not yet observed: for whoever has the detectors.
    pub fn take_told(&self, into: &mut Vec<Signal>) {
        self.outcomes.take(into);
    }

    /// Has the source of a request slowed down that passed with `score`. Never waits: where the queue is
    /// full it is dropped and counted, and the next request tells again.
    pub fn suspect(&self, address: IpAddr, score: Score) {
        if self.orders.try_send(Order::Suspect(address, score)).is_err() {
            self.metrics.reports_dropped.inc();
        }
    }

    /// Has what spoke against a request that passed on `route` kept. Never waits: where the queue is full it is
    /// dropped and counted.
    pub fn near_miss(&self, route: &Arc<str>, mut assessment: Assessment) {
        assessment.forget_words();
        let order = Order::NearMiss(Arc::clone(route), Box::new(assessment));
        if self.orders.try_send(order).is_err() {
            self.metrics.watched.near_misses_dropped.inc();
        }
    }

    /// Counts that a name on the allow list was not resolved.
    pub fn count_unresolved(&self) {
        self.metrics.unresolved.inc();
    }

    /// Reports an incident. Never waits: where the queue is full the report is dropped and counted;
    /// the request it came from is refused all the same.
    pub fn report(&self, incident: Incident) -> Settled {
        let (done, settled) = oneshot::channel();
        if self.orders.try_send(Order::Incident(Box::new(incident), done)).is_err() {
            self.metrics.reports_dropped.inc();
            return Settled(None);
        }
        Settled(Some(settled))
    }

    /// Bans a source. An operator's ban is on disk and in the kernel when this returns.
    pub async fn ban(&self, ban: NewBan) -> Result<Banned, OrderError> {
        self.order(|reply| Order::Ban { new: ban, forwards: false, reply }).await?
    }

    /// The same for what a request has done that may name another client: where its address may be a proxy's, a
    /// detector's ban of it is refused.
    pub async fn ban_for(&self, ban: NewBan, forwards: bool) -> Result<Banned, OrderError> {
        self.order(|reply| Order::Ban { new: ban, forwards, reply }).await?
    }

    /// Takes a ban back: on disk and out of the kernel when this returns.
    pub async fn lift(&self, target: Target) -> Result<Decision, OrderError> {
        self.order(|reply| Order::Lift(target, reply)).await?
    }

    /// The decisions in force that are wanted, in the order of their numbers.
    pub async fn decisions(&self, wanted: Wanted) -> Result<Vec<Decision>, OrderError> {
        self.order(|reply| Order::List(wanted, reply)).await
    }

    /// How the control task is doing; an error where it does not answer.
    pub async fn health(&self) -> Result<Health, OrderError> {
        self.order(Order::Health).await
    }

    /// Rules about whom a ban cannot be about: on disk and in force when this returns.
    pub async fn rule(&self, new: NewRuling) -> Result<Arc<Ruling>, OrderError> {
        self.order(|reply| Order::Rule(new, reply)).await?
    }

    /// Takes a ruling back: off the disk and out of force when this returns.
    pub async fn overrule(&self, target: RulingTarget) -> Result<Arc<Ruling>, OrderError> {
        self.order(|reply| Order::Overrule(target, reply)).await?
    }

    /// At the most `limit` rulings in force with a number above `after`, in the order of their numbers.
    pub async fn rulings(
        &self,
        after: Option<DecisionId>,
        limit: usize,
    ) -> Result<Vec<Arc<Ruling>>, OrderError> {
        self.order(|reply| Order::Rulings(after, limit, reply)).await
    }

    /// Brings many decisions at once: all of them are on disk and in force when this returns, or none is. But for
    /// those that the kernel turns out to have no room for, and whom others protect or ban meanwhile: they are counted, and
    /// in force nowhere. What was in force before is so in any case, and be it at the doors.
    pub async fn import(&self, batch: Batch) -> Result<Imported, OrderError> {
        self.order(|reply| Order::Import(batch, reply)).await?
    }

    /// Lets a source through: on disk and in the kernel when this returns.
    pub async fn allow(&self, new: NewAllow) -> Result<Allow, OrderError> {
        self.order(|reply| Order::Allow(new, reply)).await?
    }

    /// Takes an entry of the allow list back: on disk and out of the kernel when this returns.
    pub async fn disallow(&self, target: AllowTarget) -> Result<Allow, OrderError> {
        self.order(|reply| Order::Disallow(target, reply)).await?
    }

    /// The operator's allow list, in the order of its numbers.
    pub async fn allows(&self) -> Result<Vec<Allow>, OrderError> {
        self.order(Order::Allows).await
    }

    /// Whom no decision may cut off: what the host protects by itself and the allow list.
    pub async fn never_ban(&self) -> Result<Arc<NeverBan>, OrderError> {
        self.order(Order::Protected).await
    }

    /// Tells what a name on the allow list resolves to now.
    pub async fn resolved(&self, name: DnsName, addresses: Vec<IpAddr>) -> Result<(), OrderError> {
        self.orders.send(Order::Resolved(name, addresses)).await.map_err(|_| OrderError::Busy)
    }

    /// Sets what the host protects by itself.
    pub async fn set_never_ban(&self, never_ban: NeverBan) -> Result<(), OrderError> {
        self.orders.send(Order::NeverBan(Arc::new(never_ban))).await.map_err(|_| OrderError::Busy)
    }

    /// Sets what detectors' bans come to from here on; bans in force stay as they are.
    pub async fn set_sentences(
        &self,
        risk: risk::Config,
        escalation: escalation::Config,
    ) -> Result<(), OrderError> {
        let order = Order::Sentences(Box::new((risk, escalation)));
        self.orders.send(order).await.map_err(|_| OrderError::Busy)
    }

    /// What a request from `address` is charged with before anything is found in it, and where scores
    /// turn into acts.
    pub async fn bill_of(&self, address: IpAddr) -> Result<(Bill, Thresholds), OrderError> {
        self.order(|reply| Order::Bill(address, reply)).await
    }

    /// The exceptions in force.
    pub fn exceptions(&self) -> &Arc<Live> {
        &self.exceptions
    }

    /// Counts that a request needed this many exceptions.
    pub fn count_exceptions(&self, needed: usize) {
        self.metrics.watched.exceptions_used.inc_by(needed as u64);
    }

    /// Makes an exception: on disk and in force when this returns.
    pub async fn except(&self, exception: Exception) -> Result<Arc<Held>, OrderError> {
        self.order(|reply| Order::Except(Box::new(exception), reply)).await?
    }

    /// Takes an exception back: out of force and off the disk when this returns.
    pub async fn unexcept(&self, id: String) -> Result<Arc<Held>, OrderError> {
        self.order(|reply| Order::Unexcept(id, reply)).await?
    }

    /// Orders and reports that wait for the control task.
    pub fn waiting(&self) -> usize {
        self.orders.max_capacity() - self.orders.capacity()
    }

    /// Resolves when the control task has ended, however it ended.
    pub async fn ended(&self) {
        self.orders.closed().await;
    }

    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, OrderError> {
        let (reply, answer) = oneshot::channel();
        self.orders.try_send(order(reply)).map_err(|_| OrderError::Busy)?;
        answer.await.map_err(|_| OrderError::Busy)
    }
}

#[cfg(test)]
mod tests;
