//! TLS with clients: certificates chosen by name, handshakes held to a time and a number.

mod certificates;
mod config;
mod error;
mod ja4;
mod metrics;
mod names;
mod pair;
mod transport;
mod validity;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

pub use certificates::Certificates;
pub use config::{Config, Pair, Version};
pub use error::CertificateError;
pub(super) use metrics::{Metrics, Outcome};
pub(super) use transport::{TlsStream, Transport};
pub(super) use watch::watch;

use super::buffer::Buffer;
use super::deadline::Deadline;
use super::http2;
use crate::clock;

/// The first byte of every handshake (RFC 8446, appendix B.1).
pub(super) const HANDSHAKE: u8 = 22;

/// What every TLS connection shares.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    certificates: Certificates,
    turns: Arc<Semaphore>,
    patience: Duration,
    poll_every: Duration,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Tls").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

/// The one source of cryptography: nothing is installed for the process, so nothing can be installed twice.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

impl Tls {
    /// What `gateway` asks for, with its certificates loaded; nothing where nobody listens for TLS.
    pub(super) fn new(gateway: &super::Config) -> Result<Option<Self>, CertificateError> {
        let config = &gateway.tls;
        if config.listen.is_empty() {
            return Ok(None);
        }
        let provider = provider();
        let certificates = Certificates::load(&config.certificates, &provider)?;
        let versions = match config.min_version {
            Version::Tls12 => &[&TLS13, &TLS12][..],
            Version::Tls13 => &[&TLS13],
        };
        let builder = rustls::ServerConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(versions).map_err(CertificateError::Setup)?;
        let mut server = builder.with_no_client_auth().with_cert_resolver(Arc::new(certificates.clone()));
        // Tickets are the client's to keep: resumption takes no memory here.
        server.ticketer = aws_lc_rs::Ticketer::new().map_err(CertificateError::Setup)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        if gateway.http2.enabled {
            server.alpn_protocols.insert(0, http2::PROTOCOL.to_vec());
        }
        Ok(Some(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            certificates,
            turns: Arc::new(Semaphore::new(config.handshakes)),
            patience: Duration::from_secs(config.handshake_secs),
            poll_every: Duration::from_secs(config.poll_secs),
        }))
    }

    pub(super) fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Shakes hands on `stream`, whose first bytes are in `ahead` already. Where that comes to nothing,
    /// it is counted, and the connection is gone.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        ahead: &mut Buffer,
        metrics: &Metrics,
        deadline: &mut Deadline,
    ) -> Option<Box<TlsStream>> {
        let Ok(_turn) = self.turns.try_acquire() else {
            metrics.shook(Outcome::NoTurn);
            return None;
        };
        let transport = Transport::new(stream, ahead);
        let until = clock::now() + self.patience;
        match deadline.within(until, self.acceptor.accept(transport)).await {
            Some(Ok(stream)) => {
                metrics.shook(Outcome::Done);
                metrics.spoke(stream.get_ref().1.protocol_version());
                Some(Box::new(stream))
            }
            Some(Err(error)) => {
                metrics.shook(Outcome::Failed);
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            None => {
                metrics.shook(Outcome::TooSlow);
                None
            }
        }
    }
}
