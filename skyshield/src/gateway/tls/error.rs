//! What may be wrong with certificates and keys.

use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;

/// A certificate that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{path} cannot be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not PEM.
    #[error("{path} is not in PEM form", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is odd about it.
        source: pem::Error,
    },
    /// There is no certificate in a file.
    #[error("{path} holds no certificate (`BEGIN CERTIFICATE`)", path = path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// There is no key in a file.
    #[error("{path} holds no private key without a passphrase (`BEGIN PRIVATE KEY`)", path = path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A file is larger than any certificate chain.
    #[error("{path} is larger than {most} bytes: it is no certificate or key", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What would be read.
        most: u64,
    },
    /// The key is another certificate's.
    #[error("the key in {key} does not belong to the first certificate in {chain}", key = key.display(), chain = chain.display())]
    Mismatch {
        /// The certificate's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Something in a file cannot be used.
    #[error("{path} cannot be used", path = path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// It cannot be told when the certificate is valid.
    #[error("the first certificate in {path} does not say when it is valid", path = path.display())]
    Undated {
        /// The file.
        path: PathBuf,
    },
    /// A certificate is for no host.
    #[error("the certificate in {path} names no host: say `hosts`, or put it first", path = path.display())]
    Nameless {
        /// The file.
        path: PathBuf,
    },
    /// A certificate is past its time.
    #[error("the certificate in {path} expired at {at}: renew it", path = path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// When.
        at: jiff::Timestamp,
    },
    /// A certificate's time has not come.
    #[error("the certificate in {path} is not valid before {at}: is the clock right?", path = path.display())]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// When.
        at: jiff::Timestamp,
    },
    /// TLS cannot be set up at all.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}
