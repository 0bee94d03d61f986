//! What requests are served by, and how a new configuration takes its place between two of them.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::body::Budget;
use super::config::{BodyOverLimit, Config};
use super::limits::Limits;
use super::listen::Census;
use super::tls::{CertificateError, Config as TlsConfig, Tls};
use super::upstream::Upstream;
use super::{Metrics, client_ip, security_headers};
use crate::routes::PathPatterns;
use crate::verdict::Judge;

/// What a request is served by from its first byte to its answer.
pub(super) struct Shared {
    pub(super) judge: Judge,
    pub(super) metrics: Metrics,
    pub(super) limits: Limits,
    pub(super) body_over_limit: BodyOverLimit,
    pub(super) risk_to_client: bool,
    pub(super) proxy_protocol: bool,
    pub(super) trusted: client_ip::TrustedProxies,
    pub(super) security: security_headers::SecurityHeaders,
    pub(super) upstream: Arc<Upstream>,
    pub(super) websocket_paths: PathPatterns,
    pub(super) budget: Arc<Budget>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    fn new(
        config: &Config,
        judge: Judge,
        metrics: Metrics,
        upstream: Arc<Upstream>,
        budget: Arc<Budget>,
    ) -> Self {
        Self {
            judge,
            metrics,
            trusted: client_ip::TrustedProxies::new(&config.trusted_proxies),
            security: security_headers::SecurityHeaders::new(&config.headers),
            upstream,
            websocket_paths: PathPatterns::new(&config.websocket_paths),
            budget,
            body_over_limit: config.body_over_limit,
            proxy_protocol: config.proxy_protocol,
            risk_to_client: config.risk_header_to_client,
            limits: config.limits.clone(),
        }
    }
}

/// What requests are served by at the moment, and what outlives every change of it.
#[derive(Debug)]
pub(super) struct Live {
    shared: ArcSwap<Shared>,
    /// Nothing where nobody listens for TLS.
    pub(super) tls: ArcSwapOption<Tls>,
    /// What `tls` was made of.
    tls_config: Mutex<TlsConfig>,
    pub(super) census: Census,
    /// Whether a successor accepts what is new: then an idle client is not hung up on, but told with
    /// its next answer to come again.
    handed_over: AtomicBool,
    stop: CancellationToken,
}

impl Live {
    pub(super) fn new(
        config: &Config,
        tls: Option<Tls>,
        upstream: Upstream,
        judge: Judge,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let budget = Arc::new(Budget::new(config.limits.held_body_bytes));
        let upstream = Arc::new(upstream);
        upstream.maintain(&stop);
        Self {
            shared: ArcSwap::from_pointee(Shared::new(config, judge, metrics, upstream, budget)),
            tls: ArcSwapOption::from_pointee(tls),
            tls_config: Mutex::new(config.tls.clone()),
            census: Census::default(),
            handed_over: AtomicBool::new(false),
            stop,
        }
    }

    /// Takes up other certificates and versions. Whether TLS is spoken at all, and where, stays.
    fn reload_tls(&self, config: &TlsConfig) -> Result<(), CertificateError> {
        let mut in_use = self.tls_config.lock().unwrap_or_else(PoisonError::into_inner);
        if *in_use == *config || self.tls.load().is_none() {
            return Ok(());
        }
        if let Some(tls) = Tls::new(config)? {
            self.tls.store(Some(Arc::new(tls)));
            in_use.clone_from(config);
        }
        Ok(())
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
    /// it began. Addresses to listen on stay as they are. Resolves the upstream's name where that is
    /// another, and reads certificates: may block. To be called within a runtime.
    ///
    /// Fails where certificates are not usable; then all is as it was.
    pub fn reload(&self, config: &Config, judge: Judge) -> Result<(), CertificateError> {
        let Self(live) = self;
        live.reload_tls(&config.tls)?;
        let last = live.load();
        let upstream = if last.upstream.is_of(config) {
            Arc::clone(&last.upstream)
        } else {
            let new = Arc::new(Upstream::new(config));
            new.maintain(&live.stop);
            new
        };
        last.budget.set_limit(config.limits.held_body_bytes);
        let shared = Shared::new(config, judge, last.metrics.clone(), upstream, Arc::clone(&last.budget));
        live.shared.store(Arc::new(shared));
        Ok(())
    }

    /// Tells the gateway that a successor accepts what is new: once it is stopped, clients that are
    /// idle get until the end of the drain time to send a last request.
    pub fn hand_over(&self) {
        self.0.handed_over.store(true, Ordering::Relaxed);
    }
}
