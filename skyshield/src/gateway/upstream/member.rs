//! One upstream: where it is, how it is, and the connections to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Policy;
use super::failure::Failure;
use super::health::{Health, Streak};
use super::pool::{Connection, Pool};
use super::probe;
use crate::clock;
use crate::engine::upstream::State;
use crate::gateway::config::Authority;
use crate::gateway::deadline::Deadline;
use crate::gateway::metrics::{Metrics, UpstreamMetrics};
use crate::gateway::sites;

/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(5);
/// How soon a name that never resolved is asked for again.
const UNKNOWN_NAME: Duration = Duration::from_secs(5);

/// One upstream of one site.
#[derive(Debug)]
pub(super) struct Member {
    site: String,
    authority: Authority,
    addresses: ArcSwap<Vec<SocketAddr>>,
    turn: AtomicUsize,
    active: AtomicUsize,
    pool: Pool,
    health: Health,
    checks: sites::Health,
    check: Vec<u8>,
    connect_time: Duration,
    lookup_time: Duration,
    metrics: UpstreamMetrics,
}

/// A request in progress at an upstream, until it is dropped.
#[derive(Debug)]
pub(in crate::gateway) struct Place<'m> {
    pub(super) member: &'m Member,
}

impl Place<'_> {
    /// Notes that the upstream answered.
    pub(in crate::gateway) fn answered(&self) {
        self.member.health.answered();
    }

    /// Notes that it did not.
    pub(in crate::gateway) fn note_failure(&self) {
        self.member.failed(clock::now());
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.member.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Member {
    pub(super) fn new(
        site: &str,
        authority: &Authority,
        addresses: Vec<SocketAddr>,
        policy: &Policy<'_>,
        metrics: &Metrics,
    ) -> Self {
        let Policy { health, limits, host, .. } = *policy;
        let name = authority.to_string();
        let metrics = metrics.of_upstream(site, &name);
        metrics.up.set(1);
        Self {
            site: site.to_owned(),
            authority: authority.clone(),
            addresses: ArcSwap::from_pointee(addresses),
            turn: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            pool: Pool::new(limits.upstream_idle_connections, Duration::from_secs(limits.upstream_idle_secs)),
            health: Health::new(health, clock::now()),
            checks: health.clone(),
            check: probe::request(&health.path, host.unwrap_or(&name)),
            connect_time: Duration::from_secs(limits.upstream_connect_secs),
            lookup_time: Duration::from_secs(limits.upstream_lookup_secs),
            metrics,
        }
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.load().to_vec()
    }

    pub(super) fn is_down(&self) -> bool {
        self.health.is_down()
    }

    pub(super) fn state(&self, now: Instant) -> State {
        self.health.state(now)
    }

    /// Requests in progress.
    pub(super) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Begins a request.
    pub(super) fn enter(&self) -> Place<'_> {
        self.metrics.requests.inc();
        self.active.fetch_add(1, Ordering::Relaxed);
        Place { member: self }
    }

    /// A kept connection that nothing speaks against.
    pub(super) fn kept(&self, now: Instant, careful: bool) -> Option<Connection> {
        self.pool.take(now, careful)
    }

    /// Keeps a connection whose last response ended where it should.
    pub(super) fn keep(&self, connection: Connection, now: Instant) {
        self.pool.put(connection, now);
    }

    /// Notes a request that got no answer.
    pub(super) fn failed(&self, now: Instant) {
        self.metrics.failures.inc();
        self.health.failed(now);
        self.tell(now);
    }

    /// Puts its state on the metrics page.
    fn tell(&self, now: Instant) {
        self.metrics.up.set(i64::from(self.state(now) == State::Up));
    }

    /// A new connection; its addresses take turns, and are all tried.
    pub(super) async fn connect(&self, deadline: &mut Deadline) -> Result<Connection, Failure> {
        let addresses = self.addresses.load_full();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let era = self.pool.era();
        let until = clock::now() + self.connect_time;
        for at in 0..addresses.len() {
            let Some(&address) = addresses.get(turn.wrapping_add(at) % addresses.len()) else { break };
            match deadline.within(until, TcpStream::connect(address)).await {
                Some(Ok(stream)) => return Ok(Connection::over(stream, era)),
                Some(Err(error)) => tracing::debug!(%address, %error, "the upstream cannot be reached"),
                None => {
                    tracing::debug!(%address, "the upstream took too long to accept a connection");
                    break;
                }
            }
        }
        Err(Failure::Connect)
    }

    /// Sees to its connections, its name and its checks, until `stop`.
    pub(super) async fn look_after(&self, stop: &CancellationToken) {
        let all = async { tokio::join!(self.sweep(), self.resolve(), self.ask_how_it_is()) };
        let _stopped = stop.run_until_cancelled(all).await;
        self.pool.clear();
    }

    async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let now = clock::now();
            self.pool.sweep(now);
            self.tell(now);
        }
    }

    /// Asks for its addresses from time to time. The resolver is asked on a thread of its own, and only
    /// one question is open at a time, however long it takes.
    async fn resolve(&self) {
        if self.authority.address().is_some() {
            return;
        }
        loop {
            let unknown = self.addresses.load().is_empty();
            tokio::time::sleep(if unknown { UNKNOWN_NAME.min(self.lookup_time) } else { self.lookup_time })
                .await;
            match tokio::net::lookup_host((self.authority.host.as_str(), self.authority.port)).await {
                Ok(found) => self.moved_to(found.collect()),
                // What was known is kept: a resolver that is down takes no site with it.
                Err(error) => {
                    self.metrics.lookups_failed.inc();
                    tracing::debug!(upstream = %self.authority, %error, "the upstream's name does not resolve");
                }
            }
        }
    }

    pub(super) fn moved_to(&self, mut found: Vec<SocketAddr>) {
        // Resolvers answer in any order.
        found.sort_unstable();
        found.dedup();
        let mut known = self.addresses();
        known.sort_unstable();
        if !found.is_empty() && found != known {
            tracing::info!(upstream = %self.authority, addresses = ?found, "the upstream's name has other addresses");
            self.addresses.store(found.into());
            // Kept connections lead to where it was.
            self.pool.clear();
        }
    }

    async fn ask_how_it_is(&self) {
        if self.checks.path.is_empty() {
            return;
        }
        let mut streak = Streak::new(&self.checks);
        let mut deadline = Deadline::default();
        loop {
            let until = clock::now() + Duration::from_secs(self.checks.timeout_secs);
            let mut connecting = Deadline::default();
            let asked = async {
                match self.connect(&mut connecting).await {
                    Ok(connection) => probe::is_good(connection, &self.check).await,
                    Err(_) => false,
                }
            };
            let good = deadline.within(until, asked).await.unwrap_or(false);
            let counter = if good { &self.metrics.checks_passed } else { &self.metrics.checks_failed };
            counter.inc();
            if self.health.checked(&mut streak, good) {
                let (site, upstream) = (&self.site, &self.authority);
                if good {
                    tracing::info!(site, %upstream, "the upstream is up again");
                } else {
                    tracing::warn!(site, %upstream, "the upstream is down: it failed its checks");
                    self.pool.clear();
                }
            }
            self.tell(clock::now());
            tokio::time::sleep(Duration::from_secs(self.checks.interval_secs)).await;
        }
    }
}
