//! One certificate and its key, read from their files and held against each other.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::config::Pair;
use super::error::CertificateError;
use super::validity::Validity;

/// What is read of a file at the most; the longest chains are a hundredth of it.
const MAX_BYTES: u64 = 1024 * 1024;

/// A pair that fits.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) certified: Arc<CertifiedKey>,
    /// The hosts it is for.
    pub(super) hosts: Vec<String>,
    pub(super) validity: Validity,
    /// The files as they were before they were read.
    pub(super) stamps: [Stamp; 2],
}

/// By what a file is known to be the one that was read: device, inode, size, and when data and name were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp(Option<[i64; 7]>);

impl Stamp {
    /// Of the file at `path`, wherever links lead; nothing where there is none.
    pub(super) fn of(path: &Path) -> Self {
        let stamp = std::fs::metadata(path).ok().map(|file| {
            let place = [file.dev().cast_signed(), file.ino().cast_signed(), file.size().cast_signed()];
            [place[0], place[1], place[2], file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()]
        });
        Self(stamp)
    }
}

impl Pair {
    pub(super) fn stamps(&self) -> [Stamp; 2] {
        [Stamp::of(&self.chain), Stamp::of(&self.key)]
    }

    /// Reads both files.
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<Loaded, CertificateError> {
        // Taken first: what changes while it is read is read again.
        let stamps = self.stamps();
        let chain = self.read_chain()?;
        let path = || self.chain.clone();
        let leaf = chain.first().ok_or_else(|| CertificateError::NoCertificate { path: path() })?;
        let validity = Validity::of(leaf).ok_or_else(|| CertificateError::Undated { path: path() })?;
        let hosts = if self.hosts.is_empty() { names_in(leaf, &self.chain)? } else { self.hosts.clone() };
        let certified = CertifiedKey::from_der(chain, self.read_key()?, provider).map_err(|source| {
            if matches!(source, rustls::Error::InconsistentKeys(_)) {
                CertificateError::Mismatch { chain: path(), key: self.key.clone() }
            } else {
                CertificateError::Unusable { path: self.key.clone(), source }
            }
        })?;
        Ok(Loaded { certified: Arc::new(certified), hosts, validity, stamps })
    }

    fn read_chain(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let bytes = read(&self.chain)?;
        let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|source| CertificateError::Pem { path: self.chain.clone(), source })?;
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate { path: self.chain.clone() });
        }
        Ok(chain)
    }

    fn read_key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
        let path = self.key.clone();
        PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|source| {
            if matches!(source, pem::Error::NoItemsFound) {
                CertificateError::NoKey { path }
            } else {
                CertificateError::Pem { path, source }
            }
        })
    }
}

impl Loaded {
    /// What is wrong with its time at `now`, if anything.
    pub(super) fn out_of_time(&self, pair: &Pair, now: SystemTime) -> Option<CertificateError> {
        let now = Timestamp::try_from(now).ok()?;
        let path = pair.chain.clone();
        if now > self.validity.until {
            return Some(CertificateError::Expired { path, at: self.validity.until });
        }
        (now < self.validity.from).then_some(CertificateError::NotYetValid { path, at: self.validity.from })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let failed = |source| CertificateError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if read as u64 > MAX_BYTES {
        return Err(CertificateError::TooLarge { path: path.to_owned(), most: MAX_BYTES });
    }
    Ok(bytes)
}

/// The hosts that a certificate is for by its own words.
fn names_in(leaf: &CertificateDer<'_>, path: &Path) -> Result<Vec<String>, CertificateError> {
    let parsed = webpki::EndEntityCert::try_from(leaf).map_err(|error| CertificateError::Unusable {
        path: path.to_owned(),
        source: rustls::Error::General(error.to_string()),
    })?;
    Ok(parsed.valid_dns_names().map(str::to_owned).collect())
}
