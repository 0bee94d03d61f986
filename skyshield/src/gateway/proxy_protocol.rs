//! The PROXY protocol, versions 1 and 2: what a trusted proxy says ahead of a connection's first byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a version 1 line at the most, its end included.
const MAX_LINE: usize = 107;
/// Bytes of a version 2 header at the most; more than addresses and every usual extension take.
const MAX_HEADER: usize = 4 * 1024;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What was read of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// Its end is not among these bytes.
    Partial,
    /// It is this many bytes, and names a client, or nobody: then the proxy speaks for itself.
    Complete(usize, Option<IpAddr>),
}

/// The bytes are no such header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAHeader;

/// Reads the header at the front of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Header, NotAHeader> {
    let shared = bytes.len().min(SIGNATURE.len());
    if bytes.get(..shared) == SIGNATURE.get(..shared) {
        return if shared < SIGNATURE.len() { Ok(Header::Partial) } else { binary(bytes) };
    }
    let seen = bytes.get(..bytes.len().min(MAX_LINE)).unwrap_or_default();
    if let Some(end) = memchr::memmem::find(seen, b"\r\n") {
        let line = seen.get(..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(NotAHeader)?;
        return Ok(Header::Complete(end + 2, line_names(line)?));
    }
    let opening = b"PROXY ";
    let shared = seen.len().min(opening.len());
    let may_be = seen.get(..shared) == opening.get(..shared) && seen.len() < MAX_LINE;
    if may_be { Ok(Header::Partial) } else { Err(NotAHeader) }
}

/// Whom a version 1 line names.
fn line_names(line: &str) -> Result<Option<IpAddr>, NotAHeader> {
    let rest = line.strip_prefix("PROXY ").ok_or(NotAHeader)?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let words: Vec<&str> = rest.split(' ').collect();
    let [family, source, destination, from, to] = words[..] else { return Err(NotAHeader) };
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| NotAHeader),
        "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| NotAHeader),
        _ => Err(NotAHeader),
    };
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    let source = address(source)?;
    address(destination)?;
    if is_port(from) && is_port(to) { Ok(Some(source.to_canonical())) } else { Err(NotAHeader) }
}

fn binary(bytes: &[u8]) -> Result<Header, NotAHeader> {
    let Some(&[command, family, high, low]) = bytes.get(12..16) else { return Ok(Header::Partial) };
    let len = 16 + usize::from(u16::from_be_bytes([high, low]));
    if len > MAX_HEADER {
        return Err(NotAHeader);
    }
    let Some(addresses) = bytes.get(16..len) else { return Ok(Header::Partial) };
    let source = match (command, family) {
        (0x20, _) | (0x21, 0x00) => None,
        (0x21, 0x11) if addresses.len() >= 12 => {
            addresses.first_chunk::<4>().map(|octets| IpAddr::from(*octets))
        }
        (0x21, 0x21) if addresses.len() >= 36 => {
            addresses.first_chunk::<16>().map(|octets| IpAddr::from(*octets).to_canonical())
        }
        _ => return Err(NotAHeader),
    };
    Ok(Header::Complete(len, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let len = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &len, addresses].concat()
    }

    #[test]
    fn a_header_names_a_client_in_exactly_one_way_or_is_none() {
        let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 1, 2, 0, 80];
        let mut v6 = [0; 40];
        v6[..2].copy_from_slice(&[0x20, 0x01]);
        for (what, bytes, named) in [
            ("v4", b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n".to_vec(), Ok(Some("203.0.113.7"))),
            ("v6", b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n".to_vec(), Ok(Some("2001:db8::7"))),
            ("mapped", b"PROXY TCP6 ::ffff:203.0.113.7 ::1 1 80\r\n".to_vec(), Ok(Some("203.0.113.7"))),
            ("unknown", b"PROXY UNKNOWN anything at all\r\n".to_vec(), Ok(None)),
            ("families mixed", b"PROXY TCP4 ::1 10.0.0.1 1 80\r\n".to_vec(), Err(NotAHeader)),
            ("a port of six digits", b"PROXY TCP4 1.1.1.1 10.0.0.1 123456 80\r\n".to_vec(), Err(NotAHeader)),
            ("two spaces", b"PROXY  TCP4 1.1.1.1 10.0.0.1 1 80\r\n".to_vec(), Err(NotAHeader)),
            ("LF alone", b"PROXY TCP4 1.1.1.1 10.0.0.1 1 80\n\r\n".to_vec(), Err(NotAHeader)),
            ("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Err(NotAHeader)),
            ("too long", [b"PROXY UNKNOWN ", [b'x'; 107].as_slice()].concat(), Err(NotAHeader)),
            ("binary v4", v2(0x21, 0x11, &v4), Ok(Some("203.0.113.7"))),
            ("binary v6 with extensions", v2(0x21, 0x21, &v6), Ok(Some("2001::"))),
            ("binary, of its own", v2(0x20, 0x11, &v4), Ok(None)),
            ("binary, version 1", v2(0x11, 0x11, &v4), Err(NotAHeader)),
            ("binary, too short", v2(0x21, 0x21, &v4), Err(NotAHeader)),
            ("binary, UDP", v2(0x21, 0x12, &v4), Err(NotAHeader)),
            ("binary, too long", v2(0x21, 0x11, &[0; 5000]), Err(NotAHeader)),
        ] {
            let named = named.map(|name| name.map(|name: &str| name.parse().unwrap()));
            assert_eq!(parse(&bytes), named.map(|name| Header::Complete(bytes.len(), name)), "{what}");
            if named.is_ok() {
                for cut in 0..bytes.len() {
                    assert_eq!(parse(&bytes[..cut]), Ok(Header::Partial), "{what}, cut at {cut}");
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            signed in proptest::prelude::any::<bool>(),
            noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
        ) {
            let front: &[u8] = if signed { SIGNATURE } else { b"PROXY TCP4 " };
            let _any = parse(&[front, &noise].concat());
        }
    }
}
