//! Addresses that nobody on the internet has: no list of others may name them, and no provider is asked
//! about them.

use std::sync::OnceLock;

use crate::engine::ranges::Ranges;

/// The IANA registries of special-purpose addresses (RFC 6890), multicast and what is reserved; of IPv6
/// also all that is not global unicast (`2000::/3`).
const NETS: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/3",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "4000::/2",
    "8000::/1",
];

/// All of them.
pub fn special_purpose() -> &'static Ranges {
    static ALL: OnceLock<Ranges> = OnceLock::new();
    ALL.get_or_init(|| Ranges::of(NETS.iter().filter_map(|net| net.parse().ok())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_public(address: std::net::IpAddr) -> bool {
        !special_purpose().contains(address)
    }

    #[test]
    fn every_net_is_read_and_public_addresses_are_not_among_them() {
        assert!(NETS.iter().all(|net| net.parse::<ipnet::IpNet>().is_ok()));
        for address in ["0.1.2.3", "10.1.1.1", "192.168.0.1", "255.255.255.255", "::1", "fe80::1", "2002::1"]
        {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "81.2.69.142", "223.255.255.255", "2a00:1450::1", "2606:4700::1111"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        assert!(!is_public("::ffff:10.0.0.1".parse().unwrap()));
    }
}
