//! Whose addresses stand for others: networks that deliver for others, as they publish them themselves, and
//! addresses that nobody has on the internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 prefixes of networks that deliver for others: address, length, whose.
const CDN_V4: &[(Ipv4Addr, u8, &str)] = &[
    (Ipv4Addr::new(173, 245, 48, 0), 20, "Cloudflare"),
    (Ipv4Addr::new(103, 21, 244, 0), 22, "Cloudflare"),
    (Ipv4Addr::new(103, 22, 200, 0), 22, "Cloudflare"),
    (Ipv4Addr::new(103, 31, 4, 0), 22, "Cloudflare"),
    (Ipv4Addr::new(141, 101, 64, 0), 18, "Cloudflare"),
    (Ipv4Addr::new(108, 162, 192, 0), 18, "Cloudflare"),
    (Ipv4Addr::new(190, 93, 240, 0), 20, "Cloudflare"),
    (Ipv4Addr::new(188, 114, 96, 0), 20, "Cloudflare"),
    (Ipv4Addr::new(197, 234, 240, 0), 22, "Cloudflare"),
    (Ipv4Addr::new(198, 41, 128, 0), 17, "Cloudflare"),
    (Ipv4Addr::new(162, 158, 0, 0), 15, "Cloudflare"),
    (Ipv4Addr::new(104, 16, 0, 0), 13, "Cloudflare"),
    (Ipv4Addr::new(104, 24, 0, 0), 14, "Cloudflare"),
    (Ipv4Addr::new(172, 64, 0, 0), 13, "Cloudflare"),
    (Ipv4Addr::new(131, 0, 72, 0), 22, "Cloudflare"),
    (Ipv4Addr::new(23, 235, 32, 0), 20, "Fastly"),
    (Ipv4Addr::new(43, 249, 72, 0), 22, "Fastly"),
    (Ipv4Addr::new(103, 244, 50, 0), 24, "Fastly"),
    (Ipv4Addr::new(103, 245, 222, 0), 23, "Fastly"),
    (Ipv4Addr::new(104, 156, 80, 0), 20, "Fastly"),
    (Ipv4Addr::new(140, 248, 64, 0), 18, "Fastly"),
    (Ipv4Addr::new(140, 248, 128, 0), 17, "Fastly"),
    (Ipv4Addr::new(146, 75, 0, 0), 17, "Fastly"),
    (Ipv4Addr::new(151, 101, 0, 0), 16, "Fastly"),
    (Ipv4Addr::new(157, 52, 64, 0), 18, "Fastly"),
    (Ipv4Addr::new(167, 82, 0, 0), 17, "Fastly"),
    (Ipv4Addr::new(185, 31, 16, 0), 22, "Fastly"),
    (Ipv4Addr::new(199, 27, 72, 0), 21, "Fastly"),
    (Ipv4Addr::new(199, 232, 0, 0), 16, "Fastly"),
];

/// The same of IPv6; of an address the first 32 bits, or as many as the length says.
const CDN_V6: &[(u32, u8, &str)] = &[
    (0x2400_cb00, 32, "Cloudflare"),
    (0x2606_4700, 32, "Cloudflare"),
    (0x2803_f800, 32, "Cloudflare"),
    (0x2405_b500, 32, "Cloudflare"),
    (0x2405_8100, 32, "Cloudflare"),
    (0x2a06_98c0, 29, "Cloudflare"),
    (0x2c0f_f248, 32, "Cloudflare"),
    (0x2a04_4e40, 32, "Fastly"),
    (0x2a04_4e42, 32, "Fastly"),
];

pub(super) fn cdn_of(address: IpAddr) -> Option<&'static str> {
    let is_in = |bits: u32, prefix: u32, length: u8| (bits ^ prefix).leading_zeros() >= u32::from(length);
    match address {
        IpAddr::V4(v4) => {
            let of =
                |&&(prefix, length, _): &&(Ipv4Addr, u8, _)| is_in(v4.to_bits(), prefix.to_bits(), length);
            CDN_V4.iter().find(of).map(|&(_, _, name)| name)
        }
        IpAddr::V6(v6) => {
            let high = u32::try_from(v6.to_bits() >> 96).unwrap_or_default();
            CDN_V6.iter().find(|&&(prefix, length, _)| is_in(high, prefix, length)).map(|&(_, _, name)| name)
        }
    }
}

pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            // 100.64.0.0/10 is what carriers share.
            let is_shared = v4.to_bits() >> 22 == Ipv4Addr::new(100, 64, 0, 0).to_bits() >> 22;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared
        }
        IpAddr::V6(v6) => v6 == Ipv6Addr::LOCALHOST || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
