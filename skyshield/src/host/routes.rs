//! Gateways and resolvers, from the texts in which the system keeps them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The gateways in the text of `/proc/net/route`: addresses are hexadecimal, in host byte order.
pub(super) fn gateways_v4(text: &str) -> Vec<IpAddr> {
    text.lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(2).filter(|gateway| gateway.len() == 8))
        .filter_map(|gateway| u32::from_str_radix(gateway, 16).ok())
        .filter(|&gateway| gateway != 0)
        .map(|gateway| IpAddr::V4(Ipv4Addr::from(gateway.to_ne_bytes())))
        .collect()
}

/// The interface that the text of `/proc/net/route` sends to by default.
pub(super) fn default_interface(text: &str) -> Option<String> {
    text.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let (interface, destination) = (words.next()?, words.next()?);
        (destination == "00000000").then(|| interface.to_owned())
    })
}

/// The gateways in the text of `/proc/net/ipv6_route`: addresses are 32 hexadecimal digits.
pub(super) fn gateways_v6(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| line.split_whitespace().nth(4).filter(|gateway| gateway.len() == 32))
        .filter_map(|gateway| u128::from_str_radix(gateway, 16).ok())
        .filter(|&gateway| gateway != 0)
        .map(|gateway| IpAddr::V6(Ipv6Addr::from(gateway)))
        .collect()
}

/// The resolvers in the text of `/etc/resolv.conf`; a zone after `%` is left off.
pub(super) fn resolvers(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == "nameserver").then_some(())?;
            words.next()?.split('%').next()?.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_names_the_gateway() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                    eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\n\
                    eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n";
        assert_eq!(gateways_v4(text), ["192.168.1.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(default_interface(text).as_deref(), Some("eth0"));
        let text = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                    fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n";
        assert_eq!(gateways_v6(text), ["fe80::1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn resolvers_are_read_past_comments_and_zones() {
        let text = "# comment\nnameserver 9.9.9.9\nsearch example.org\nnameserver fe80::53%eth0\nnameserver\nnameserver x\n";
        assert_eq!(resolvers(text), ["9.9.9.9".parse::<IpAddr>().unwrap(), "fe80::53".parse().unwrap()]);
    }

    #[test]
    fn texts_that_make_no_sense_name_nobody() {
        for text in ["", "x", "a b c\nd e f", "\0\n\0"] {
            assert!(
                gateways_v4(text).is_empty() && gateways_v6(text).is_empty() && resolvers(text).is_empty()
            );
        }
    }
}
