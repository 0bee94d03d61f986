//! A client: whom a request is attributed to.

use std::net::IpAddr;

/// What a client is, as far as the network told us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The address the request is attributed to, in canonical form.
    pub address: IpAddr,
    /// Whether a trusted proxy named that address, in which case the packets are the proxy's.
    pub by_proxy: bool,
}
