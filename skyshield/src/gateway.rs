//! The reverse-proxy gateway: reads a request in exactly one way, has it judged, forwards it or refuses it.

mod account;
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
mod http2;
mod limits;
mod listen;
mod live;
mod metrics;
mod opening;
mod presence;
mod proxy_protocol;
mod pump;
mod reader;
mod relay;
mod request_head;
mod respond;
mod response_head;
mod security_headers;
mod server_timing;
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
pub use http2::Config as Http2Config;
pub use limits::Limits;
pub use live::Handle;
pub use metrics::Metrics;
pub use reader::{Progress, Reader, Reading, may_begin_a_request};
pub use security_headers::{Config as HeadersConfig, Mode, Profile, Setting};
pub use sites::{Balance, Health, SiteConfig, UnknownHost};
pub use tls::{
    CertificateError, Certificates, Config as TlsConfig, Pair as CertificatePair, Version as TlsVersion,
};

use self::live::{Live, Shared};
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

impl Gateway {
    /// Loads the certificates and binds every address of `config`, or none. Reads files and resolves
    /// the upstreams' names: may block.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        Self::take_up(config, &mut Vec::new())
    }

    /// [`Self::bind`], and what of it a predecessor has bound is taken out of `inherited`.
    pub fn take_up(config: &Config, inherited: &mut Vec<TcpListener>) -> Result<Self, StartError> {
        let tls = tls::Tls::new(config)?;
        let listeners = listen::bind(&config.listen, inherited)?;
        let tls_listeners = listen::bind(&config.tls.listen, inherited)?;
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

    /// The sockets it listens on, once more, for a successor.
    pub fn sockets(&self) -> io::Result<Vec<TcpListener>> {
        self.listeners.iter().chain(&self.tls_listeners).map(TcpListener::try_clone).collect()
    }

    /// The certificates in use, to have them looked at anew; nothing where nobody speaks TLS.
    pub fn certificates(&self) -> Option<Certificates> {
        self.tls.as_ref().map(|tls| tls.certificates().clone())
    }

    /// What it will know of its upstreams.
    pub fn upstreams(&self) -> Upstreams {
        self.upstreams.clone()
    }

    /// Ready to serve by `judge` until `stop`; then idle connections end, busy ones get the drain time.
    /// To be called within a runtime.
    pub fn open(self, judge: Judge, metrics: Metrics, stop: CancellationToken) -> Open {
        let Self { listeners, tls_listeners, tls, known, config, upstreams } = self;
        let sites = sites::Sites::new(&config, &known, &metrics);
        let live = Live::new(config, tls, (sites, upstreams), judge, metrics, stop.clone());
        Open { listeners, tls_listeners, live: Arc::new(live), stop }
    }

    /// [`Self::open`], and serves.
    pub async fn serve(self, judge: Judge, metrics: Metrics, stop: CancellationToken) -> Result<(), Error> {
        self.open(judge, metrics, stop).serve().await
    }
}

/// A gateway that is ready to serve.
#[derive(Debug)]
pub struct Open {
    listeners: Vec<TcpListener>,
    tls_listeners: Vec<TcpListener>,
    live: Arc<Live>,
    stop: CancellationToken,
}

impl Open {
    /// The handle to it while it serves.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.live))
    }

    /// Serves until it is stopped.
    pub async fn serve(self) -> Result<(), Error> {
        let Self { listeners, tls_listeners, live, stop } = self;
        let mut tasks = JoinSet::new();
        let plain = listeners.into_iter().map(|listener| (listener, false));
        let secure = tls_listeners.into_iter().map(|listener| (listener, true));
        for (listener, is_secure) in plain.chain(secure) {
            tasks.spawn(listen::accept(listener, is_secure, Arc::clone(&live), stop.clone()));
        }
        {
            let (sites, stop) = (live.sites.subscribe(), stop.clone());
            tasks.spawn(async move { live::tend(sites, &stop).await.map_err(io::Error::other) });
        }
        if live.tls.load().is_some() {
            tasks.spawn(async move { tls::watch(&live, &stop).await.map_err(io::Error::other) });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(Error::Task)?.map_err(Error::Listener)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
