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
mod live;
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
mod tunnel;
mod upstream;
mod write;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{Authority, BodyOverLimit, ClientAddressHeader, Config, NotAnAuthority};
pub use limits::Limits;
pub use live::Handle;
pub use metrics::Metrics;
pub use security_headers::{Config as HeadersConfig, Mode, Profile, Setting};

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
    upstream: upstream::Upstream,
    config: Config,
}

impl Gateway {
    /// Binds every address of `config`, or none. Resolves the upstream's name too: may block.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let listeners = listen::bind(&config.listen)?;
        Ok(Self { listeners, upstream: upstream::Upstream::new(config), config: config.clone() })
    }

    /// The addresses that are bound: where a port was 0, the one the kernel chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Ready to serve by `judge` until `stop`; then idle connections end, busy ones get the drain time.
    /// To be called within a runtime.
    pub fn open(self, judge: Judge, metrics: Metrics, stop: CancellationToken) -> Open {
        let Self { listeners, upstream, config } = self;
        let live = Live::new(&config, upstream, judge, metrics, stop.clone());
        Open { listeners, live: Arc::new(live), stop }
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
        let Self { listeners, live, stop } = self;
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(listen::accept(listener, Arc::clone(&live), stop.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(Error::Task)?.map_err(Error::Listener)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
