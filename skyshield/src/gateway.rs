//! The reverse-proxy gateway: reads a request in exactly one way, has it judged, forwards it or refuses it.

mod body;
mod buffer;
mod chunked;
mod client_ip;
mod config;
mod connection;
mod deadline;
mod field;
mod forward;
mod framing;
mod guard;
mod head;
mod limits;
mod listen;
mod metrics;
mod opening;
mod presence;
mod proxy_protocol;
mod pump;
mod relay;
mod request_head;
mod respond;
mod response_head;
mod security_headers;
mod sites;
mod stream;
mod tls;
mod tunnel;
mod upstream;
mod write;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{Authority, BodyOverLimit, ClientAddressHeader, Config, NotAnAuthority};
pub use limits::Limits;
pub use metrics::Metrics;
pub use security_headers::{Config as HeadersConfig, Mode, Profile, Setting};
pub use sites::{Balance, Health, SiteConfig, UnknownHost};
pub use tls::{
    CertificateError, Certificates, Config as TlsConfig, Pair as CertificatePair, Version as TlsVersion,
};

use crate::routes::PathPatterns;
use crate::verdict::Judge;

/// An address to listen on cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the gateway cannot listen on {address}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// The gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be had.
    #[error("gateway.listen")]
    Bind(#[from] BindError),
    /// A certificate cannot be served.
    #[error("gateway.tls")]
    Certificate(#[from] CertificateError),
}

/// The gateway ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener is lost.
    #[error("a gateway listener failed")]
    Listener(#[source] io::Error),
    /// A task of the gateway's panicked.
    #[error("a task of the gateway died")]
    Task(#[source] tokio::task::JoinError),
}

/// A gateway that holds its addresses and serves nobody yet.
#[derive(Debug)]
pub struct Gateway {
    listeners: Vec<TcpListener>,
    known: sites::Known,
    tls_listeners: Vec<TcpListener>,
    tls: Option<tls::Tls>,
    config: Config,
    upstreams: Upstreams,
}

/// What the gateway knows of its upstreams, for whoever wants to see it. Clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Upstreams {
    serving: Arc<ArcSwapOption<sites::Sites>>,
    at_first: Arc<Vec<SocketAddr>>,
}

impl Upstreams {
    /// How each of them is; none before the gateway serves.
    pub fn states(&self) -> Vec<crate::engine::upstream::Upstream> {
        self.serving.load().as_ref().map(|sites| sites.upstreams()).unwrap_or_default()
    }

    /// Every address that requests are forwarded to now.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let serving = self.serving.load();
        serving.as_ref().map_or_else(|| self.at_first.to_vec(), |sites| sites.addresses())
    }
}

/// What every connection shares.
struct Shared {
    judge: Judge,
    metrics: Metrics,
    limits: Limits,
    body_over_limit: BodyOverLimit,
    risk_to_client: bool,
    proxy_protocol: bool,
    trusted: client_ip::TrustedProxies,
    sites: Arc<sites::Sites>,
    websocket_paths: PathPatterns,
    budget: body::Budget,
    census: listen::Census,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Gateway {
    /// Loads the certificates and binds every address of `config`, or none. Reads files and resolves
    /// the upstreams' names: may block.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let tls = tls::Tls::new(&config.tls)?;
        let listeners = listen::bind(&config.listen)?;
        let tls_listeners = listen::bind(&config.tls.listen)?;
        let known = sites::Known::resolve(config);
        let at_first = known.addresses().collect();
        let upstreams = Upstreams { at_first: Arc::new(at_first), ..Upstreams::default() };
        Ok(Self { listeners, tls_listeners, tls, known, config: config.clone(), upstreams })
    }

    /// The addresses that are bound, those of TLS last: where a port was 0, the one the kernel chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let listeners = self.listeners.iter().chain(&self.tls_listeners);
        listeners.filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The certificates in use, to have them looked at anew; nothing where nobody speaks TLS.
    pub fn certificates(&self) -> Option<Certificates> {
        self.tls.as_ref().map(|tls| tls.certificates().clone())
    }

    /// What it will know of its upstreams.
    pub fn upstreams(&self) -> Upstreams {
        self.upstreams.clone()
    }

    /// Serves until `stop`; then idle connections end, busy ones get the drain time.
    pub async fn serve(self, judge: Judge, metrics: Metrics, stop: CancellationToken) -> Result<(), Error> {
        let Self { listeners, tls_listeners, tls, known, config, upstreams } = self;
        let sites = Arc::new(sites::Sites::new(&config, &known, &metrics));
        upstreams.serving.store(Some(Arc::clone(&sites)));
        let shared = Arc::new(Shared {
            judge,
            metrics,
            trusted: client_ip::TrustedProxies::new(&config.trusted_proxies),
            sites,
            websocket_paths: PathPatterns::new(&config.websocket_paths),
            budget: body::Budget::new(config.limits.held_body_bytes),
            census: listen::Census::default(),
            body_over_limit: config.body_over_limit,
            proxy_protocol: config.proxy_protocol,
            risk_to_client: config.risk_header_to_client,
            limits: config.limits,
        });
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(listen::accept(listener, None, Arc::clone(&shared), stop.clone()));
        }
        for listener in tls_listeners {
            tasks.spawn(listen::accept(listener, tls.clone(), Arc::clone(&shared), stop.clone()));
        }
        if let Some(tls) = tls {
            let (metrics, stop) = (shared.metrics.clone(), stop.clone());
            tasks.spawn(async move { tls::watch(&tls, &metrics.tls, &stop).await.map_err(io::Error::other) });
        }
        shared.sites.look_after(&mut tasks, &stop);
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(Error::Task)?.map_err(Error::Listener)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
