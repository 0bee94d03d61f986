//! What is odd about a packet, read from the outside to the inside: the first oddity names it.

use std::net::{Ipv4Addr, Ipv6Addr};

use skyshield_common::Reason;

use super::carried::{self, TCP, UDP};
use super::frame::{Bytes, Cursor, Packet, address, number};

/// What rates tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The first packet of a TCP handshake.
    Syn,
    /// UDP, later fragments included.
    Udp,
    /// All else.
    Other,
}

/// A protocol, and the ports from and to, where the packet tells any.
pub(super) type Told = (u8, Option<(u16, u16)>);

/// The class of a packet, or what is odd about it. What is odd is of no class.
pub(super) fn read(packet: &Packet<'_>) -> Result<Class, Reason> {
    match packet.bytes {
        Bytes::V4(bytes) => v4(bytes),
        Bytes::V6(bytes) => v6(bytes),
    }
}

fn v4(bytes: &[u8]) -> Result<Class, Reason> {
    let (head, whole, word) = (usize::from(bytes[0] & 0x0f) * 4, number(bytes, 2), number(bytes, 6));
    let whole = usize::from(whole);
    if whole < head || whole > bytes.len() {
        return Err(Reason::Ipv4Length);
    }
    let (life, protocol) = (bytes[8], bytes[9]);
    if life == 0 {
        return Err(Reason::TtlZero);
    }
    let source = Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15]);
    let destination = Ipv4Addr::new(bytes[16], bytes[17], bytes[18], bytes[19]);
    // A host that has no address yet asks everybody for one, by DHCP.
    let asks = source.is_unspecified() && destination.is_broadcast() && protocol == UDP;
    let is_reserved = source.octets()[0] == 0 || source.octets()[0] >= 240;
    if (is_reserved || source.is_loopback() || source.is_multicast()) && !asks {
        return Err(Reason::MartianSource);
    }
    if source == destination {
        return Err(Reason::Land);
    }
    let carried = &bytes[head..whole];
    let fragment = Fragment { offset: usize::from(word & 0x1fff) * 8, more: word & 0x2000 != 0 };
    fragment.check(carried, whole, protocol)?;
    if fragment.offset > 0 { Ok(later(protocol)) } else { carried::read(protocol, carried, fragment.more) }
}

fn v6(bytes: &[u8]) -> Result<Class, Reason> {
    let (stated, next, hops) = (usize::from(number(bytes, 4)), bytes[6], bytes[7]);
    let rest = &bytes[40..];
    // A jumbogram states its length in an option, and none here: it is as long as its frame.
    let is_jumbo = stated == 0 && next == HOP_BY_HOP;
    if stated > rest.len() {
        return Err(Reason::Ipv6Length);
    }
    if hops == 0 {
        return Err(Reason::TtlZero);
    }
    let (source, destination) = (address(&bytes[8..24]), address(&bytes[24..40]));
    // A host makes sure that its address is free, or joins a group, before it has one: by ICMP, and behind options.
    let asks = source.is_unspecified() && (next == carried::ICMP_V6 || next == HOP_BY_HOP);
    if is_martian(source) && !asks {
        return Err(Reason::MartianSource);
    }
    if source == destination {
        return Err(Reason::Land);
    }
    let walked = walk(next, if is_jumbo { rest } else { &rest[..stated] });
    match walked.end {
        End::Odd(oddity) => Err(oddity),
        End::Later => Ok(later(walked.protocol)),
        End::Carried { bytes, goes_on } => carried::read(walked.protocol, bytes, goes_on),
    }
}

fn is_martian(source: Ipv6Addr) -> bool {
    let is_v4 = source.to_ipv4_mapped().is_some();
    source.is_unspecified() || source.is_loopback() || source.is_multicast() || is_v4
}

fn later(protocol: u8) -> Class {
    if protocol == UDP { Class::Udp } else { Class::Other }
}

/// Where a fragment lies in its packet, and whether more follow.
#[derive(Clone, Copy)]
struct Fragment {
    offset: usize,
    more: bool,
}

impl Fragment {
    /// Whether an honest stack makes it: neither empty, nor of parts of eights, nor beyond the largest packet, nor so
    /// that it hides the TCP header that it begins with or begins in (RFC 1858).
    fn check(self, carried: &[u8], counted: usize, protocol: u8) -> Result<(), Reason> {
        if self.offset == 0 && !self.more {
            return Ok(());
        }
        let is_odd = carried.is_empty()
            || self.more && !carried.len().is_multiple_of(8)
            || self.offset + counted > 65_535
            || self.offset == 8 && protocol == TCP;
        if is_odd { Err(Reason::MalformedFragment) } else { Ok(()) }
    }
}

const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
/// Headers that another may follow: options, routing, fragment, authentication, options, mobility, HIP, shim6.
const EXTENSIONS: [u8; 8] = [HOP_BY_HOP, 43, FRAGMENT, AUTHENTICATION, 60, 135, 139, 140];

struct Walked<'a> {
    /// What the last header that could be read says is next.
    protocol: u8,
    end: End<'a>,
}

enum End<'a> {
    Odd(Reason),
    /// A later fragment, which has no header of its own.
    Later,
    Carried {
        bytes: &'a [u8],
        /// It is the first of several fragments.
        goes_on: bool,
    },
}

/// Past up to six extension headers.
fn walk(next: u8, bytes: &[u8]) -> Walked<'_> {
    let (mut protocol, mut rest, mut goes_on) = (next, Cursor(bytes), false);
    let mut headers = 0;
    while EXTENSIONS.contains(&protocol) {
        headers += 1;
        if headers > 6 {
            return Walked { protocol, end: End::Odd(Reason::TooManyExtensions) };
        }
        let cut = End::Odd(Reason::TruncatedExtension);
        let Some(&[next, length, high, low]) = rest.0.first_chunk() else {
            return Walked { protocol, end: cut };
        };
        let kind = std::mem::replace(&mut protocol, next);
        let size = match kind {
            FRAGMENT => 8,
            AUTHENTICATION => 4 * (usize::from(length) + 2),
            _ => 8 * (usize::from(length) + 1),
        };
        if rest.take(size).is_none() {
            return Walked { protocol, end: cut };
        }
        if kind == FRAGMENT {
            let word = u16::from_be_bytes([high, low]);
            let fragment = Fragment { offset: usize::from(word >> 3) * 8, more: word & 1 != 0 };
            if let Err(oddity) = fragment.check(rest.0, rest.0.len(), protocol) {
                return Walked { protocol, end: End::Odd(oddity) };
            }
            if fragment.offset > 0 {
                return Walked { protocol, end: End::Later };
            }
            goes_on |= fragment.more;
        }
    }
    Walked { protocol, end: End::Carried { bytes: rest.0, goes_on } }
}

/// What rules ask for. They read as far as the frame goes: whether its packet says otherwise is an oddity of its own.
pub(super) fn told(packet: &Packet<'_>) -> Told {
    let (protocol, carried) = match packet.bytes {
        Bytes::V4(bytes) => {
            let head = usize::from(bytes[0] & 0x0f) * 4;
            let offset = number(bytes, 6) & 0x1fff;
            (bytes[9], if offset == 0 { bytes.get(head..) } else { None })
        }
        Bytes::V6(bytes) => {
            let Walked { protocol, end } = walk(bytes[6], &bytes[40..]);
            match end {
                End::Carried { bytes, .. } => (protocol, Some(bytes)),
                End::Odd(_) | End::Later => (protocol, None),
            }
        }
    };
    let ports = carried.filter(|carried| (protocol == TCP || protocol == UDP) && carried.len() >= 4);
    (protocol, ports.map(|bytes| (number(bytes, 0), number(bytes, 2))))
}
