//! The certificates in use: looked up for each handshake, replaced as one.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::config::Pair;
use super::error::CertificateError;
use super::names::ByName;
use super::pair::{Loaded, Stamp};
use super::provider;

/// The certificates in use. Clones are the same.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    pairs: Vec<Pair>,
    provider: Arc<CryptoProvider>,
    in_use: ArcSwap<InUse>,
    loaded: Mutex<Vec<Arc<Loaded>>>,
    /// Files that were found wanting, as they were then: said once, not at every look.
    refused: Mutex<HashMap<PathBuf, [Stamp; 2]>>,
}

/// What handshakes look at.
struct InUse {
    by_host: ByName<Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Certificates").field(&self.0.pairs).finish()
    }
}

impl Certificates {
    /// Those of `pairs`, all of which must be usable. What is past its time is used and told of.
    pub(super) fn load(pairs: &[Pair], provider: &Arc<CryptoProvider>) -> Result<Self, CertificateError> {
        let mut loaded = Vec::with_capacity(pairs.len());
        for (at, pair) in pairs.iter().enumerate() {
            let one = pair.load(provider)?;
            if at > 0 && one.hosts.is_empty() {
                return Err(CertificateError::Nameless { path: pair.chain.clone() });
            }
            loaded.push(Arc::new(one));
        }
        let in_use = ArcSwap::from_pointee(InUse::of(&loaded));
        Ok(Self(Arc::new(Inner {
            pairs: pairs.to_vec(),
            provider: Arc::clone(provider),
            in_use,
            loaded: Mutex::new(loaded),
            refused: Mutex::default(),
        })))
    }

    /// What is wrong with the files of `pairs` at `now`, one entry for each pair that is not as it should be.
    pub fn problems(pairs: &[Pair], now: SystemTime) -> Vec<CertificateError> {
        let provider = provider();
        let problem = |(at, pair): (usize, &Pair)| match pair.load(&provider) {
            Err(error) => Some(error),
            Ok(one) if at > 0 && one.hosts.is_empty() => {
                Some(CertificateError::Nameless { path: pair.chain.clone() })
            }
            Ok(one) => one.out_of_time(pair, now),
        };
        pairs.iter().enumerate().filter_map(problem).collect()
    }

    /// Takes up what has changed in the files. A pair that is not usable leaves the one in use where it
    /// is. Reads files: may block.
    ///
    /// Returns how many pairs were replaced, and what is wrong with those that were not, each once for
    /// each change of its files.
    pub fn reload(&self) -> (usize, Vec<CertificateError>) {
        let Inner { pairs, provider, in_use, loaded, refused } = &*self.0;
        let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
        let mut replaced = 0;
        let mut problems = Vec::new();
        for (at, (pair, current)) in pairs.iter().zip(loaded.iter_mut()).enumerate() {
            let stamps = pair.stamps();
            if stamps == current.stamps {
                refused.remove(&pair.chain);
                continue;
            }
            if refused.get(&pair.chain) == Some(&stamps) {
                continue;
            }
            match pair.load(provider) {
                Ok(one) if at == 0 || !one.hosts.is_empty() => {
                    *current = Arc::new(one);
                    refused.remove(&pair.chain);
                    replaced += 1;
                }
                unusable => {
                    refused.insert(pair.chain.clone(), stamps);
                    let nameless = CertificateError::Nameless { path: pair.chain.clone() };
                    problems.push(unusable.err().unwrap_or(nameless));
                }
            }
        }
        if replaced > 0 {
            in_use.store(Arc::new(InUse::of(&loaded)));
        }
        (replaced, problems)
    }

    /// Until when each is valid, by the file of its chain.
    pub(super) fn valid_until(&self) -> Vec<(String, Timestamp)> {
        let loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = self.0.pairs.iter().map(|pair| pair.chain.display().to_string());
        paths.zip(loaded.iter().map(|one| one.validity.until)).collect()
    }

    /// Which of them are out of their time at `now`.
    pub(super) fn out_of_time(&self, now: SystemTime) -> Vec<CertificateError> {
        let loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.pairs.iter().zip(loaded.iter()).filter_map(|(pair, one)| one.out_of_time(pair, now)).collect()
    }
}

impl InUse {
    fn of(loaded: &[Arc<Loaded>]) -> Self {
        let mut by_host = ByName::new();
        for one in loaded {
            for host in &one.hosts {
                by_host.add(host, Arc::clone(&one.certified));
            }
        }
        Self { by_host, default: loaded.first().map(|one| Arc::clone(&one.certified)) }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Inner").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let in_use = self.0.in_use.load();
        let named = hello.server_name().map(|host| in_use.by_host.get(host)).unwrap_or_default();
        // Of several for one name, the first whose kind of key the client knows.
        let known = named.iter().find(|one| one.key.choose_scheme(hello.signature_schemes()).is_some());
        known.or(named.first()).or(in_use.default.as_ref()).cloned()
    }
}
