//! The `[api]` section: who may operate the daemon, and from where.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::tls;

/// Where the admin API and the metrics page listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address of the admin API, for operators with a token or a session. Loopback only, unless there is `tls`.
    pub listen: SocketAddr,
    /// The socket of the admin API for root on this host, who needs no token.
    pub socket: PathBuf,
    /// Names by which the daemon may be asked, beside `localhost` and its own addresses.
    pub hosts: Vec<String>,
    /// Origins whose pages may ask, beside the daemon's own: `https://board.example`.
    pub origins: Vec<String>,
    /// TLS on `listen`; without it, that is loopback only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<tls::Config>,
    /// The address of the metrics page, which asks for no login. Loopback only.
    pub metrics_listen: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
            socket: PathBuf::from("/run/skyshield/admin.sock"),
            hosts: Vec::new(),
            origins: Vec::new(),
            tls: None,
            metrics_listen: SocketAddr::from(([127, 0, 0, 1], 9465)),
        }
    }
}

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let exposed = |address: SocketAddr| {
            (!address.ip().is_loopback()).then(|| {
                format!("{address} is not loopback, and what is said would cross the network unencrypted; set [api.tls], or use an SSH tunnel")
            })
        };
        if let Some(what) = exposed(self.listen).filter(|_| self.tls.is_none()) {
            return Some(("api.listen", what));
        }
        if let Some(what) = exposed(self.metrics_listen) {
            return Some(("api.metrics_listen", what));
        }
        if self.listen == self.metrics_listen && self.listen.port() != 0 {
            let what = format!("{} is api.listen already; take another port", self.listen);
            return Some(("api.metrics_listen", what));
        }
        self.tls.as_ref().and_then(tls::Config::problem)
    }
}
