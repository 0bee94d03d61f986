//! Clients and hops as proxies write them.

use std::net::{IpAddr, SocketAddr};

use crate::inspect::Header;

/// An address, which some proxies write with its port, in canonical form.
pub fn address_of(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|hop| hop.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// Whether `header` tells of a client other than `sender`: who writes it then speaks for others. A proxy's word
/// that `sender` is the client, and nothing else, is none.
pub(super) fn names_another_client(header: &Header<'_>, sender: IpAddr) -> bool {
    const NAMES: [&[u8]; 6] = [
        b"x-forwarded-for",
        b"x-real-ip",
        b"cf-connecting-ip",
        b"true-client-ip",
        b"fastly-client-ip",
        b"x-client-ip",
    ];
    let is_another = |hop: &[u8]| address_of(hop.trim_ascii()) != Some(sender);
    let mut hops = header.value.split(|&byte| byte == b',');
    if header.name.eq_ignore_ascii_case(b"forwarded") {
        return hops.any(|hop| is_another(forwarded_for(hop)));
    }
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(header.name)) && hops.any(is_another)
}

/// Whom an element of `Forwarded` is for (RFC 7239), without its quotes.
fn forwarded_for(element: &[u8]) -> &[u8] {
    let pairs = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let mut named = pairs.filter_map(|pair| {
        let (name, value) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    });
    let value = named.next().unwrap_or_default().trim_ascii();
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_names_the_sender_alone_speaks_for_nobody() {
        for (name, value, expected) in [
            ("X-Forwarded-For", "10.0.0.7", false),
            ("x-forwarded-for", " 10.0.0.7:4711", false),
            ("X-Forwarded-For", "10.0.0.7, 10.0.0.7", false),
            ("X-Forwarded-For", "203.0.113.7, 10.0.0.7", true),
            ("X-Forwarded-For", "10.0.0.7, 203.0.113.7", true),
            ("X-Forwarded-For", "unknown", true),
            ("X-Forwarded-For", "", true),
            ("X-Real-IP", "10.0.0.7", false),
            ("X-Real-IP", "::ffff:10.0.0.7", false),
            ("CF-Connecting-IP", "203.0.113.7", true),
            ("Forwarded", "for=10.0.0.7;proto=http", false),
            ("Forwarded", "proto=http; For=\"10.0.0.7:4711\"", false),
            ("Forwarded", "for=10.0.0.7, for=\"[2001:db8::7]\"", true),
            ("Forwarded", "by=10.0.0.7", true),
            ("User-Agent", "203.0.113.7", false),
        ] {
            let header = Header { name: name.as_bytes(), value: value.as_bytes() };
            assert_eq!(names_another_client(&header, [10, 0, 0, 7].into()), expected, "{name}: {value}");
        }
    }
}
