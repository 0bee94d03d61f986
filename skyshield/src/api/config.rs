//! The `[api]` section: who may operate the daemon, and from where.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the admin API and the metrics page listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address of the admin API, for operators with a token. Loopback only: it speaks no TLS.
    pub listen: SocketAddr,
    /// The socket of the admin API for root on this host, who needs no token.
    pub socket: PathBuf,
    /// The address of the metrics page, which asks for no login. Loopback only.
    pub metrics_listen: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
            socket: PathBuf::from("/run/skyshield/admin.sock"),
            metrics_listen: SocketAddr::from(([127, 0, 0, 1], 9465)),
        }
    }
}

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let exposed = |address: SocketAddr| {
            (!address.ip().is_loopback()).then(|| {
                format!("{address} is not loopback, and tokens would cross the network unencrypted; use an SSH tunnel")
            })
        };
        if let Some(what) = exposed(self.listen) {
            return Some(("api.listen", what));
        }
        if let Some(what) = exposed(self.metrics_listen) {
            return Some(("api.metrics_listen", what));
        }
        if self.listen == self.metrics_listen && self.listen.port() != 0 {
            let what = format!("{} is api.listen already; take another port", self.listen);
            return Some(("api.metrics_listen", what));
        }
        None
    }
}
