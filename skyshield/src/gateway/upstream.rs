//! The upstreams of a site: who is asked next, and the connections to them.

mod failure;
mod health;
mod member;
mod pool;
mod probe;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(super) use self::failure::Failure;
use self::member::Member;
pub(super) use self::member::Place;
pub(super) use self::pool::Connection;
use super::config::Authority;
use super::deadline::Deadline;
use super::limits::Limits;
use super::metrics::Metrics;
use super::sites::{Balance, Health, MAX_UPSTREAMS};
use crate::clock;
use crate::engine::upstream::{State, Upstream};

/// Upstreams that are tried for one request at the most, each of which nothing was sent to.
const MAX_TRIES: u32 = 3;

/// How a site treats its upstreams.
#[derive(Debug)]
pub(super) struct Policy<'a> {
    pub(super) balance: Balance,
    pub(super) health: &'a Health,
    pub(super) limits: &'a Limits,
    /// The host that checks ask for; without one, the upstream's own name.
    pub(super) host: Option<&'a str>,
}

/// The upstreams of one site.
#[derive(Debug)]
pub(super) struct Group {
    name: String,
    members: Vec<Arc<Member>>,
    balance: Balance,
    turn: AtomicUsize,
    /// The `Host` of a request that came without.
    pub(super) host: Vec<u8>,
}

/// A connection on loan, counted as in progress until it is dropped or given back.
#[derive(Debug)]
pub(super) struct Lease<'g> {
    pub(super) connection: Connection,
    pub(super) place: Place<'g>,
}

/// Upstreams that were tried for a request already, a bit each.
#[derive(Clone, Copy, Debug, Default)]
struct Tried(u64);
const _: () = assert!(MAX_UPSTREAMS <= 64);

impl Group {
    pub(super) fn new<'a>(
        name: &str,
        upstreams: impl Iterator<Item = (&'a Authority, Vec<SocketAddr>)>,
        policy: &Policy<'_>,
        metrics: &Metrics,
    ) -> Self {
        let members: Vec<_> = upstreams
            .map(|(upstream, addresses)| Member::new(name, upstream, addresses, policy, metrics).into())
            .collect();
        let host = members.first().map(|member: &Arc<Member>| member.authority().to_string());
        Self {
            name: name.to_owned(),
            members,
            balance: policy.balance,
            turn: AtomicUsize::new(0),
            host: host.unwrap_or_default().into_bytes(),
        }
    }

    /// The site's name.
    #[cfg(test)]
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A connection to whoever is next: a kept one where there is one, else a new one. Who does not
    /// accept is passed over, as nothing was sent yet.
    ///
    /// Whoever is `careful`, because the request cannot be sent again, has kept connections looked at
    /// more closely.
    pub(super) async fn lease(&self, careful: bool, deadline: &mut Deadline) -> Result<Lease<'_>, Failure> {
        self.lend(Some(careful), deadline).await
    }

    /// The same, and the connection is a new one.
    pub(super) async fn lease_new(&self, deadline: &mut Deadline) -> Result<Lease<'_>, Failure> {
        self.lend(None, deadline).await
    }

    async fn lend(&self, kept: Option<bool>, deadline: &mut Deadline) -> Result<Lease<'_>, Failure> {
        let mut tried = Tried::default();
        let mut failure = Failure::NoneUp;
        for _ in 0..MAX_TRIES {
            let now = clock::now();
            let Some((at, member)) = self.next(now, tried) else { break };
            tried.0 |= 1 << (at % MAX_UPSTREAMS);
            let place = member.enter();
            if let Some(connection) = kept.and_then(|careful| member.kept(now, careful)) {
                return Ok(Lease { connection, place });
            }
            match member.connect(deadline).await {
                Ok(connection) => return Ok(Lease { connection, place }),
                Err(why) => {
                    member.failed(clock::now());
                    failure = why;
                }
            }
        }
        Err(failure)
    }

    /// Who is asked next of those not `tried`: nobody who is down, and who rests only for want of others.
    fn next(&self, now: Instant, tried: Tried) -> Option<(usize, &Member)> {
        let count = self.members.len();
        if count == 1 {
            let member = self.members.first().filter(|member| tried.0 == 0 && !member.is_down())?;
            return Some((0, member));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..count).filter_map(|step| {
            let at = turn.wrapping_add(step) % count;
            let member = self.members.get(at).filter(|_| tried.0 >> (at % MAX_UPSTREAMS) & 1 == 0)?;
            let rank = match member.state(now) {
                State::Up => 0,
                State::Resting => 1,
                State::Down => return None,
            };
            let load = match self.balance {
                Balance::RoundRobin => 0,
                Balance::LeastConnections => member.active(),
            };
            Some(((rank, load), at, &**member))
        });
        in_turn.min_by_key(|(rank, ..)| *rank).map(|(_, at, member)| (at, member))
    }

    /// How every upstream is.
    pub(super) fn states(&self) -> impl Iterator<Item = Upstream> {
        let now = clock::now();
        self.members.iter().map(move |member| Upstream {
            site: self.name.clone(),
            upstream: member.authority().to_string(),
            state: member.state(now),
            active: member.active(),
        })
    }

    /// Every address that requests are forwarded to.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.members.iter().flat_map(|member| member.addresses())
    }

    /// Sees to connections, names and checks of every upstream in `tasks`, until `stop`.
    pub(super) fn look_after<E: Send + 'static>(
        &self,
        tasks: &mut JoinSet<Result<(), E>>,
        stop: &CancellationToken,
    ) {
        for member in &self.members {
            let (member, stop) = (Arc::clone(member), stop.clone());
            tasks.spawn(async move {
                member.look_after(&stop).await;
                Ok(())
            });
        }
    }
}

impl Lease<'_> {
    /// Keeps the connection for another request: its last response ended where it should.
    pub(super) fn give_back(self, now: Instant) {
        self.place.member.keep(self.connection, now);
    }
}

#[cfg(test)]
mod tests;
