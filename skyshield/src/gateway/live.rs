//! What requests are served by, and how a new configuration takes its place between two of them.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::body::Budget;
use super::config::{BodyOverLimit, Config};
use super::limits::Limits;
use super::listen::Census;
use super::sites::{Known, Sites};
use super::tls::{CertificateError, Tls};
use super::{Metrics, Upstreams, client_ip, http2};
use crate::routes::PathPatterns;
use crate::verdict::Judge;

/// What a request is served by from its first byte to its answer.
pub(super) struct Shared {
    pub(super) judge: Judge,
    pub(super) metrics: Metrics,
    pub(super) limits: Limits,
    pub(super) http2: http2::Config,
    pub(super) body_over_limit: BodyOverLimit,
    pub(super) risk_to_client: bool,
    pub(super) proxy_protocol: bool,
    pub(super) trusted: client_ip::TrustedProxies,
    pub(super) sites: Arc<Sites>,
    pub(super) websocket_paths: PathPatterns,
    pub(super) budget: Arc<Budget>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    fn new(config: &Config, judge: Judge, metrics: Metrics, sites: Arc<Sites>, budget: Arc<Budget>) -> Self {
        Self {
            judge,
            metrics,
            trusted: client_ip::TrustedProxies::new(&config.trusted_proxies),
            sites,
            websocket_paths: PathPatterns::new(&config.websocket_paths),
            budget,
            body_over_limit: config.body_over_limit,
            proxy_protocol: config.proxy_protocol,
            risk_to_client: config.risk_header_to_client,
            limits: config.limits.clone(),
            http2: config.http2.clone(),
        }
    }
}

/// What requests are served by at the moment, and what outlives every change of it.
#[derive(Debug)]
pub(super) struct Live {
    shared: ArcSwap<Shared>,
    /// Nothing where nobody listens for TLS.
    pub(super) tls: ArcSwapOption<Tls>,
    /// What all this was made of.
    config: Mutex<Config>,
    /// Whom requests are forwarded to, for who sees to them.
    pub(super) sites: watch::Sender<Arc<Sites>>,
    upstreams: Upstreams,
    pub(super) census: Census,
    /// Whether a successor accepts what is new: then an idle client is not hung up on, but told with
    /// its next answer to come again.
    handed_over: AtomicBool,
    stop: CancellationToken,
}

impl Live {
    pub(super) fn new(
        config: Config,
        tls: Option<Tls>,
        (sites, upstreams): (Sites, Upstreams),
        judge: Judge,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let budget = Arc::new(Budget::new(config.limits.held_body_bytes));
        let sites = Arc::new(sites);
        upstreams.serving.store(Some(Arc::clone(&sites)));
        let shared = Shared::new(&config, judge, metrics, Arc::clone(&sites), budget);
        Self {
            shared: ArcSwap::from_pointee(shared),
            tls: ArcSwapOption::from_pointee(tls),
            config: Mutex::new(config),
            sites: watch::Sender::new(sites),
            upstreams,
            census: Census::default(),
            handed_over: AtomicBool::new(false),
            stop,
        }
    }

    /// What a request that begins now is served by.
    pub(super) fn load(&self) -> Guard<Arc<Shared>> {
        self.shared.load()
    }

    /// Whether what is in progress is the last of its connection.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// What comes of waiting for a client that may say nothing: nothing, once the gateway is `stopped`.
    ///
    /// Where it is handed over, a last request may be on its way which nobody else can answer; the end
    /// of the drain is then the end of this wait.
    pub(super) async fn unless_stopped<T>(
        &self,
        stopped: Pin<&mut WaitForCancellationFuture<'_>>,
        waiting: impl Future<Output = T>,
    ) -> Option<T> {
        let mut waiting = pin!(waiting);
        tokio::select! {
            biased;
            done = waiting.as_mut() => Some(done),
            () = stopped => {
                if self.handed_over.load(Ordering::Relaxed) { Some(waiting.await) } else { None }
            }
        }
    }
}

/// The handle to a gateway that serves. Clones are of the same gateway.
#[derive(Clone, Debug)]
pub struct Handle(pub(super) Arc<Live>);

impl Handle {
    /// From the next request on the gateway goes by `config` and `judge`; what is in progress ends as
    /// it began. Addresses to listen on stay as they are. Resolves the upstreams' names where they are
    /// others, and reads certificates: may block.
    ///
    /// Fails where certificates are not usable; then all is as it was.
    pub fn reload(&self, config: &Config, judge: Judge) -> Result<(), CertificateError> {
        let Self(live) = self;
        let mut made_of = live.config.lock().unwrap_or_else(PoisonError::into_inner);
        // Whether TLS is spoken at all, and where, stays.
        let other = made_of.tls != config.tls || made_of.http2.enabled != config.http2.enabled;
        if other
            && live.tls.load().is_some()
            && let Some(tls) = Tls::new(config)?
        {
            live.tls.store(Some(Arc::new(tls)));
        }
        let last = live.load();
        // Who forwards to the same upstreams goes on with the connections to them and what is known of them.
        let sites = if same_sites(&made_of, config) {
            Arc::clone(&last.sites)
        } else {
            Arc::new(Sites::new(config, &Known::resolve(config), &last.metrics))
        };
        last.budget.set_limit(config.limits.held_body_bytes);
        let (metrics, budget) = (last.metrics.clone(), Arc::clone(&last.budget));
        live.shared.store(Arc::new(Shared::new(config, judge, metrics, Arc::clone(&sites), budget)));
        if !Arc::ptr_eq(&sites, &last.sites) {
            live.upstreams.serving.store(Some(Arc::clone(&sites)));
            live.sites.send_replace(sites);
        }
        made_of.clone_from(config);
        Ok(())
    }

    /// Tells the gateway that a successor accepts what is new: once it is stopped, clients that are
    /// idle get until the end of the drain time to send a last request.
    pub fn hand_over(&self) {
        self.0.handed_over.store(true, Ordering::Relaxed);
    }
}

fn same_sites(one: &Config, other: &Config) -> bool {
    one.default_upstreams() == other.default_upstreams()
        && one.balance == other.balance
        && one.unknown_host == other.unknown_host
        && one.headers == other.headers
        && one.health == other.health
        && one.limits == other.limits
        && one.sites == other.sites
}

/// Sees to the upstreams of whatever sites there are, until `stop`.
pub(super) async fn tend(
    mut sites: watch::Receiver<Arc<Sites>>,
    stop: &CancellationToken,
) -> Result<(), JoinError> {
    while !stop.is_cancelled() {
        let (mut tasks, these) = (JoinSet::<Result<(), Infallible>>::new(), stop.child_token());
        sites.borrow_and_update().look_after(&mut tasks, &these);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = sites.changed() => break,
                Some(ended) = tasks.join_next() => match ended? {
                    Ok(()) => {}
                    Err(never) => match never {},
                },
            }
        }
        these.cancel();
        while let Some(ended) = tasks.join_next().await {
            ended?.unwrap_or_else(|never| match never {});
        }
    }
    Ok(())
}
