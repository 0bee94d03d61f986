//! What the host says of itself: the addresses that must never be cut off.

mod names;
mod routes;
mod sessions;
mod watch;

use std::fs;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use serde::{Deserialize, Serialize};

use crate::engine::never_ban::{NeverBan, Protection, loopback};
use crate::engine::source::Source;

pub use names::{Resolver, Schedule};
pub use watch::{Watch, watch};

/// The operator's part of the never-ban set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses and prefixes that are never banned nor limited, beside those the host finds itself.
    pub allow: Vec<Source>,
}

/// The never-ban set as it is now: the host's own part, and `known` from the configuration.
pub fn never_ban(known: &[(Source, Protection)]) -> NeverBan {
    let mut entries = known.to_vec();
    entries.extend(loopback());
    entries.extend(protect(own_addresses(), Protection::OwnAddress));
    let routes = |path, parse: fn(&str) -> Vec<IpAddr>| parse(&fs::read_to_string(path).unwrap_or_default());
    entries.extend(protect(routes("/proc/net/route", routes::gateways_v4), Protection::Gateway));
    entries.extend(protect(routes("/proc/net/ipv6_route", routes::gateways_v6), Protection::Gateway));
    entries.extend(protect(routes("/etc/resolv.conf", routes::resolvers), Protection::Resolver));
    entries.extend(protect(sessions::operators(), Protection::OperatorSession));
    NeverBan::new(entries)
}

/// The interface of the default route: the one that faces the world, where nothing else is said.
pub fn default_interface() -> Option<String> {
    routes::default_interface(&fs::read_to_string("/proc/net/route").unwrap_or_default())
}

/// Every address of every interface; none where the kernel does not say.
fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect()
}

fn protect(addresses: Vec<IpAddr>, why: Protection) -> impl Iterator<Item = (Source, Protection)> {
    addresses
        .into_iter()
        .filter(|address| !address.is_unspecified())
        .map(move |address| (Source::host(address), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_never_bans_itself() {
        let set = never_ban(&[]);
        assert_eq!(set.protects("127.0.0.1".parse().unwrap()), Some(Protection::Loopback));
        for address in own_addresses() {
            assert!(set.protects(address).is_some(), "{address}");
        }
    }
}
