//! What the gateway is told of TLS: where, with which certificates, how patient.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::gateway::tls::names::is_pattern;

/// The TLS part of the gateway's section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses and ports on which clients speak TLS, beside `gateway.listen`. Default none.
    pub listen: Vec<SocketAddr>,
    /// Certificates with their keys. The first serves clients that name no host, or one that no
    /// certificate is for. Default none.
    pub certificates: Vec<Pair>,
    /// The oldest version that is spoken: `1.2` or `1.3`. Default `1.2`.
    pub min_version: Version,
    /// From a connection's first byte to the end of its handshake, in seconds. Then it is closed. Default 10.
    pub handshake_secs: u64,
    /// Handshakes in progress at a time. Beyond it, new connections are closed. Default 1024.
    pub handshakes: usize,
    /// How often the files of certificates are looked at for a change, in seconds. Default 10.
    pub poll_secs: u64,
}

/// A certificate chain and the key to its first certificate, each in a PEM file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The file of the certificate, followed by those that vouch for it.
    pub chain: PathBuf,
    /// The file of its private key: PKCS #8, PKCS #1 or SEC 1, without a passphrase.
    pub key: PathBuf,
    /// The hosts it is for: names, or `*.` and a name. Default: those that the certificate names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            certificates: Vec::new(),
            min_version: Version::default(),
            handshake_secs: 10,
            handshakes: 1024,
            poll_secs: 10,
        }
    }
}

/// More certificates than one process should hold are a slip of the pen.
const MAX_CERTIFICATES: usize = 10_000;

impl Config {
    /// What is wrong with this section as it is written, if anything: the key and how to mend it.
    /// The files are looked at by [`Certificates`](super::Certificates).
    pub fn problem(&self) -> Option<(&'static str, String)> {
        match (self.listen.is_empty(), self.certificates.len()) {
            (false, 0) => {
                let what = "name a certificate in `[[gateway.tls.certificates]]`: chain, key".to_owned();
                return Some(("gateway.tls.listen", what));
            }
            (true, 1..) => {
                let what = "nobody listens for TLS; say where in `gateway.tls.listen`".to_owned();
                return Some(("gateway.tls.certificates", what));
            }
            (_, count) if count > MAX_CERTIFICATES => {
                let what = format!("{count} are more than {MAX_CERTIFICATES}");
                return Some(("gateway.tls.certificates", what));
            }
            _ => {}
        }
        let mut hosts = self.certificates.iter().flat_map(|pair| &pair.hosts);
        if let Some(host) = hosts.find(|host| !is_pattern(host)) {
            let what = format!("`{host}` is neither a host name nor `*.` and one");
            return Some(("gateway.tls.certificates", what));
        }
        let ranges = [
            ("gateway.tls.handshake_secs", self.handshake_secs, 300),
            ("gateway.tls.handshakes", self.handshakes as u64, 1_000_000),
            ("gateway.tls.poll_secs", self.poll_secs, 24 * 3600),
        ];
        ranges
            .into_iter()
            .find(|&(_, value, most)| !(1..=most).contains(&value))
            .map(|(key, value, most)| (key, format!("{value} is not between 1 and {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_named_by_its_key() {
        let pair = "[[certificates]]\nchain = 'a.pem'\nkey = 'a.key'\n";
        for (text, key) in [
            ("listen = ['0.0.0.0:443']".to_owned(), Some("gateway.tls.listen")),
            (pair.to_owned(), Some("gateway.tls.certificates")),
            (format!("listen = ['0.0.0.0:443']\n{pair}hosts = ['a.*']"), Some("gateway.tls.certificates")),
            (format!("listen = ['0.0.0.0:443']\n{pair}hosts = ['*.a.example', 'b']"), None),
            ("handshakes = 0".to_owned(), Some("gateway.tls.handshakes")),
            ("poll_secs = 100000".to_owned(), Some("gateway.tls.poll_secs")),
            ("min_version = '1.3'".to_owned(), None),
        ] {
            let config: Config = toml::from_str(&text).unwrap();
            assert_eq!(config.problem().map(|(key, _)| key), key, "{text}");
        }
        assert!(toml::from_str::<Config>("min_version = '1.1'").is_err());
    }
}
