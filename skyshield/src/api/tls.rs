//! TLS for the admin API: its certificate, and whom client certificates stand for.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use webpki::EndEntityCert;

use super::auth::Operator;
use super::role::Role;

/// A handshake takes no longer than this.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How often the files are looked at for a change.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// What is read of a file at the most.
const MAX_BYTES: u64 = 1 << 20;

/// The `[api.tls]` section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file of the certificate, followed by those that vouch for it. A new one is taken up by itself.
    pub chain: PathBuf,
    /// The file of its private key.
    pub key: PathBuf,
    /// Who vouches for operators' certificates; without it, operators come with tokens only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// The lists of those that are good no more (CRL, PEM), one of each authority that vouches for one; a new one is taken
    /// up by itself. A list beyond its time still counts, and a certificate of an authority without a list is not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_crl: Option<PathBuf>,
    /// Nobody is spoken to without a certificate that `client_ca` vouches for, token or not.
    #[serde(default)]
    pub client_required: bool,
    /// The role of a client certificate by its organisational unit (OU): `{ ops = "admin" }`. One of no unit that stands
    /// here is let in by a token only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, Role>,
}

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        let nobody = self.client_ca.is_none();
        if nobody && self.client_crl.is_some() {
            let what = "nobody vouches for the certificates that it takes back; set `client_ca`";
            return Some(("api.tls.client_crl", what.to_owned()));
        }
        (nobody && self.client_required)
            .then(|| ("api.tls.client_required", "nobody vouches for clients; set `client_ca`".to_owned()))
            .or_else(|| {
                let what = "nobody vouches for the certificates whose roles these are; set `client_ca`";
                (nobody && !self.roles.is_empty()).then(|| ("api.tls.roles", what.to_owned()))
            })
    }
}

/// Makes connections TLS, by files as they are now.
pub(super) struct Tls {
    config: Config,
    acceptor: ArcSwap<Known>,
}

struct Known {
    acceptor: TlsAcceptor,
    changed: Option<SystemTime>,
    looked_at: SystemTime,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Tls").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Tls {
    pub(super) fn new(config: &Config) -> io::Result<Self> {
        let known = Known::read(config)?;
        Ok(Self { config: config.clone(), acceptor: ArcSwap::from_pointee(known) })
    }

    /// The connection encrypted, and whom its certificate stands for.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<Operator>)> {
        let acceptor = self.acceptor();
        let shaken = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await;
        let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let presented = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let operator = presented.and_then(|certificate| self.operator(certificate));
        Ok((stream, operator))
    }

    /// What was verified in the handshake says who it is, and of which unit.
    fn operator(&self, certificate: &CertificateDer<'_>) -> Option<Operator> {
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        let subject = subject(certificate.subject());
        let of =
            |wanted: Attribute| subject.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, text)| text);
        let role = of(Attribute::Unit).filter_map(|unit| self.config.roles.get(unit)).max()?;
        let name = of(Attribute::CommonName).next()?;
        Some(Operator { name: name.clone(), token: None, role: *role, scopes: role.scopes() })
    }

    fn acceptor(&self) -> TlsAcceptor {
        let known = self.acceptor.load();
        let now = crate::clock::wall();
        if now.duration_since(known.looked_at).is_ok_and(|since| since < LOOK_EVERY) {
            return known.acceptor.clone();
        }
        let renewed =
            if changed(&self.config) == known.changed { None } else { Some(Known::read(&self.config)) };
        let next = match renewed {
            Some(Ok(renewed)) => renewed,
            Some(Err(error)) => {
                tracing::warn!(%error, "the admin API's new certificate is not taken up; the one before serves on");
                Known { acceptor: known.acceptor.clone(), changed: changed(&self.config), looked_at: now }
            }
            None => Known { acceptor: known.acceptor.clone(), changed: known.changed, looked_at: now },
        };
        let acceptor = next.acceptor.clone();
        self.acceptor.store(Arc::new(next));
        acceptor
    }
}

/// When one of the files was changed the last time.
fn changed(config: &Config) -> Option<SystemTime> {
    let files =
        [Some(&config.chain), Some(&config.key), config.client_ca.as_ref(), config.client_crl.as_ref()];
    let times = files
        .into_iter()
        .flatten()
        .filter_map(|path| fs::metadata(path).and_then(|file| file.modified()).ok());
    times.max()
}

impl Known {
    fn read(config: &Config) -> io::Result<Self> {
        let changed = changed(config);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match &config.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| of(path, &error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                let verifier = match &config.client_crl {
                    Some(path) => verifier.with_crls(revoked(path)?),
                    None => verifier,
                };
                let verifier =
                    if config.client_required { verifier } else { verifier.allow_unauthenticated() };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| of(path, &error))?)
            }
        };
        let key =
            PrivateKeyDer::from_pem_slice(&bytes(&config.key)?).map_err(|error| of(&config.key, &error))?;
        let server = builder
            .with_single_cert(certificates(&config.chain)?, key)
            .map_err(|error| of(&config.chain, &error))?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)), changed, looked_at: crate::clock::wall() })
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let bytes = bytes(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(of(path, &io::Error::other("there is no certificate in it"))),
        Err(error) => Err(of(path, &error)),
    }
}

fn revoked(path: &Path) -> io::Result<Vec<CertificateRevocationListDer<'static>>> {
    let bytes = bytes(path)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    match found {
        // Without a list nothing would be looked up at all.
        Ok(found) if found.is_empty() => Err(of(path, &io::Error::other("there is no list in it"))),
        Ok(found) => Ok(found),
        Err(error) => Err(of(path, &error)),
    }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| of(path, &error))?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| of(path, &error))?;
    Ok(bytes)
}

fn of(path: &Path, error: &dyn std::error::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

/// What a subject says that is asked for here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    CommonName,
    Unit,
}

/// The names and units in a subject (RFC 5280, a sequence of sets of pairs); what is not understood is left out.
fn subject(mut der: &[u8]) -> Vec<(Attribute, String)> {
    let mut found = Vec::new();
    while let Some((0x31, mut set, rest)) = value(der) {
        der = rest;
        while let Some((0x30, pair, rest)) = value(set) {
            set = rest;
            let Some((0x06, kind, text)) = value(pair) else { continue };
            let attribute = match kind {
                [0x55, 4, 3] => Attribute::CommonName,
                [0x55, 4, 11] => Attribute::Unit,
                _ => continue,
            };
            // UTF8String, PrintableString, T61String, IA5String.
            if let Some((0x0c | 0x13 | 0x14 | 0x16, text, _)) = value(text)
                && let Ok(text) = std::str::from_utf8(text)
                && !text.chars().any(char::is_control)
            {
                found.push((attribute, text.to_owned()));
            }
        }
    }
    found
}

/// The first value in `der`: its tag, its content, and what follows.
fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?),
        _ => return None,
    };
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_units_are_read_out_of_a_real_certificate() {
        let mut wanted = rcgen::CertificateParams::new(Vec::new()).unwrap();
        wanted.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
        wanted.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "ops");
        wanted.distinguished_name.push(rcgen::DnType::CommonName, "ann");
        let certificate = wanted.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let parsed = EndEntityCert::try_from(certificate.der()).unwrap();
        let found = subject(parsed.subject());
        assert_eq!(found.len(), 2, "{found:?}");
        for expected in [(Attribute::Unit, "ops".to_owned()), (Attribute::CommonName, "ann".to_owned())] {
            assert!(found.contains(&expected), "{found:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_bytes_a_subject_is_of_it_is_read_or_left(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _read = subject(&bytes);
        }
    }
}
