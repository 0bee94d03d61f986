//! What operators and rooms of knowledge want of the kernel side beside decisions: lists, places, and
//! what it has met.

use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::oneshot;

use super::{Control, Order, OrderError, Task};
use crate::dataplane::{self, Counters, Hit, List, Met, Replaced, Sender, Tuning};
use crate::engine::place::Places;
use crate::engine::source::Source;

/// Senders kept of each window.
const SENDERS: usize = 100;
/// Seconds in which senders are counted, before they are counted anew.
const WINDOW_SECS: u32 = 10;
/// Sources whose bans are asked about at once.
const MET_AT_ONCE: usize = 1_000;

/// What is wanted of the kernel side.
#[derive(Debug)]
pub enum KernelOrder {
    /// All that is decided of places.
    Places(Box<Places>, oneshot::Sender<Result<(), OrderError>>),
    /// All that is dropped beside the bans.
    Listed(List, oneshot::Sender<Result<Replaced, OrderError>>),
    /// All of places that are let through that stands in banned prefixes.
    LetThrough(Vec<IpNet>, oneshot::Sender<Result<(), OrderError>>),
    /// What of the configuration can be taken up while the program runs.
    Tune(Box<Tuning>, oneshot::Sender<Result<(), OrderError>>),
    /// Everything is to pass for so long, or no more; how much was left of an earlier bypass.
    Bypass(Option<Duration>, oneshot::Sender<Result<Duration, OrderError>>),
    /// What the bans of these sources have met.
    Met(Vec<Source>, oneshot::Sender<Result<Vec<Met>, OrderError>>),
    /// What rules and places have met, and who sends most.
    Seen(oneshot::Sender<Result<Seen, OrderError>>),
}

/// What the kernel side has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Packets and bytes by reason, of each interface.
    pub interfaces: Vec<(String, Counters)>,
    /// What each rule and each place has met.
    pub hits: Vec<Hit>,
    /// Who sent most in the last whole window, most packets first.
    pub senders: Vec<Sender>,
    /// How long that window was.
    pub window: Duration,
    /// How much longer everything passes; zero where nothing is bypassed.
    pub bypass_left: Duration,
}

/// Senders, while they are counted.
#[derive(Debug, Default)]
pub(super) struct Senders {
    ticks: u32,
    last: Vec<Sender>,
}

impl Control {
    /// Makes `places` all that is decided of places: in the kernel when this returns. Written on the
    /// control task, at some 100 ns a prefix.
    pub async fn set_places(&self, places: Places) -> Result<(), OrderError> {
        self.kernel(|reply| KernelOrder::Places(Box::new(places), reply)).await
    }

    /// Makes `list` all that is dropped beside the bans: in the kernel when this returns, and nothing that
    /// is on the old list and the new one passes in between. It is aggregated beside the control task, and written on
    /// it, at some 100 ns an entry.
    pub async fn set_listed(&self, list: Vec<IpNet>) -> Result<Replaced, OrderError> {
        // Fails only where the process is about to end.
        let aggregated = tokio::task::spawn_blocking(move || List::of(&list)).await;
        let list = aggregated.map_err(|_| OrderError::Busy)?;
        self.kernel(|reply| KernelOrder::Listed(list, reply)).await
    }

    /// Makes `tuning` what the kernel side goes by: in the kernel when this returns. Waits for room in the queue: a
    /// configuration is not refused because there is a flood, which it may be meant to end.
    pub async fn tune(&self, tuning: Tuning) -> Result<(), OrderError> {
        self.insist(|reply| KernelOrder::Tune(Box::new(tuning), reply)).await
    }

    /// What the bans of `sources` have met, in the same order; of a thousand at the most.
    pub async fn met(&self, sources: Vec<Source>) -> Result<Vec<Met>, OrderError> {
        self.kernel(|reply| KernelOrder::Met(sources, reply)).await
    }

    /// What rules and places have met, and who sends most.
    pub async fn seen(&self) -> Result<Seen, OrderError> {
        self.kernel(KernelOrder::Seen).await
    }

    pub(super) async fn kernel<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, OrderError>>) -> KernelOrder,
    ) -> Result<T, OrderError> {
        self.order(|reply| Order::Kernel(order(reply))).await?
    }

    /// The same, waiting for room in the queue.
    pub(super) async fn insist<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, OrderError>>) -> KernelOrder,
    ) -> Result<T, OrderError> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::Kernel(order(reply))).await.map_err(|_| OrderError::Busy)?;
        answer.await.map_err(|_| OrderError::Busy)?
    }
}

impl Task {
    pub(super) fn obey_kernel(&mut self, order: KernelOrder) {
        match order {
            KernelOrder::Places(places, reply) => {
                let _gone = reply.send(self.enforcer.set_places(&places).map_err(Into::into));
            }
            KernelOrder::Listed(list, reply) => {
                let _gone = reply.send(self.enforcer.load_list(&list).map_err(Into::into));
            }
            KernelOrder::LetThrough(prefixes, reply) => {
                let _gone = reply.send(self.let_through(prefixes));
            }
            KernelOrder::Tune(tuning, reply) => {
                let _gone = reply.send(self.tune(*tuning).map_err(OrderError::Kernel));
            }
            KernelOrder::Bypass(ttl, reply) => {
                let _gone = reply.send(self.bypass(ttl).map_err(OrderError::Kernel));
            }
            KernelOrder::Met(sources, reply) => {
                let met = sources.into_iter().take(MET_AT_ONCE).map(|source| self.enforcer.met(source));
                let _gone = reply.send(met.collect::<Result<_, _>>().map_err(Into::into));
            }
            KernelOrder::Seen(reply) => {
                let seen = self.seen();
                let _gone = reply.send(seen.map_err(Into::into));
            }
        }
    }

    fn tune(&mut self, Tuning { settings, rules, missed_after }: Tuning) -> Result<(), dataplane::Error> {
        self.enforcer.set_rules(&rules)?;
        self.enforcer.set_settings(settings)?;
        self.enforcer.heartbeat(missed_after)?;
        self.missed_after = missed_after;
        Ok(())
    }

    fn seen(&self) -> Result<Seen, dataplane::Error> {
        let reader = self.enforcer.reader()?;
        Ok(Seen {
            interfaces: reader.by_interface()?,
            hits: reader.hits()?,
            senders: self.senders.last.clone(),
            window: Duration::from_secs(WINDOW_SECS.into()),
            bypass_left: self.enforcer.bypass_left(),
        })
    }

    /// Looks who has sent most; to be called once a second.
    pub(super) fn watch_senders(&mut self) {
        self.senders.ticks += 1;
        if self.senders.ticks >= WINDOW_SECS {
            self.senders.ticks = 0;
            self.senders.last = self.enforcer.take_senders();
            self.senders.last.truncate(SENDERS);
        }
    }
}
