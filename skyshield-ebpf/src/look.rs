//! What a packet is, beyond its source: malformed, impossible, or of which class.

use skyshield_common::Reason;

use crate::parse::{Frame, IPV4_MIN_BYTES, IPV6_BYTES, Packet};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM: u8 = 140;
/// Every extension header there is, once, and one to spare.
const MAX_EXTENSIONS: usize = 6;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;

/// What limits tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The first packet of a TCP handshake.
    Syn,
    /// UDP, its later fragments included.
    Udp,
    /// All else.
    Other,
}

/// The class of a packet with nothing odd about it; else the first thing that is odd.
#[inline(always)]
pub fn look<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> Result<Class, Reason> {
    if packet.is_v6 { look_v6(frame, packet.header_at) } else { look_v4(frame, packet.header_at) }
}

/// What an IP header carries, and where it ends.
struct Payload {
    protocol: u8,
    at: usize,
    bytes: usize,
    /// The first of several fragments: what it carries goes on in the others.
    goes_on: bool,
}

#[inline(always)]
fn look_v4<F: Frame + ?Sized>(frame: &F, at: usize) -> Result<Class, Reason> {
    let Some(header) = frame.read::<IPV4_MIN_BYTES>(at) else { return Err(Reason::TruncatedIpv4) };
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let total_bytes = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if total_bytes < header_bytes || at + total_bytes > frame.length() {
        return Err(Reason::Ipv4Length);
    }
    if header_bytes > IPV4_MIN_BYTES && frame.read::<1>(at + header_bytes - 1).is_none() {
        return Err(Reason::TruncatedIpv4);
    }
    if header[8] == 0 {
        return Err(Reason::TtlZero);
    }
    let protocol = header[9];
    let source = u32::from_be_bytes([header[12], header[13], header[14], header[15]]);
    let destination = u32::from_be_bytes([header[16], header[17], header[18], header[19]]);
    if is_martian_v4(source) {
        // A host that has no address yet asks everybody for one.
        let asks = source == 0 && destination == u32::MAX && protocol == UDP;
        if !asks {
            return Err(Reason::MartianSource);
        }
    }
    if source == destination {
        return Err(Reason::Land);
    }
    let bytes = total_bytes - header_bytes;
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    let offset = usize::from(fragment & 0x1fff) * 8;
    let more = fragment & 0x2000 != 0;
    if (offset != 0 || more) && is_odd_fragment(offset, more, bytes, total_bytes, protocol) {
        return Err(Reason::MalformedFragment);
    }
    if offset != 0 {
        return Ok(later_fragment(protocol));
    }
    payload(frame, &Payload { protocol, at: at + header_bytes, bytes, goes_on: more })
}

/// This network, loopback, multicast, reserved, broadcast.
#[inline(always)]
const fn is_martian_v4(source: u32) -> bool {
    let first = source >> 24;
    first == 0 || first == 127 || first >= 224
}

/// `offset` and `bytes` of what it carries, `whole` with its headers.
#[inline(always)]
const fn is_odd_fragment(offset: usize, more: bool, bytes: usize, whole: usize, protocol: u8) -> bool {
    const LARGEST: usize = 65_535;
    // At 8 it would write over the flags of a TCP header that was judged without them (RFC 1858).
    bytes == 0 || (more && bytes % 8 != 0) || offset + whole > LARGEST || (offset == 8 && protocol == TCP)
}

#[inline(always)]
const fn later_fragment(protocol: u8) -> Class {
    if protocol == UDP { Class::Udp } else { Class::Other }
}

#[inline(always)]
fn look_v6<F: Frame + ?Sized>(frame: &F, header_at: usize) -> Result<Class, Reason> {
    if frame.read::<1>(header_at + IPV6_BYTES - 1).is_none() {
        return Err(Reason::TruncatedIpv6);
    }
    let (Some(fixed), Some(source), Some(destination)) =
        (frame.read::<8>(header_at), frame.read::<16>(header_at + 8), frame.read::<16>(header_at + 24))
    else {
        return Err(Reason::TruncatedIpv6);
    };
    let mut protocol = fixed[6];
    let stated = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let mut at = header_at + IPV6_BYTES;
    // None stated and an option to state it in: a jumbogram, which is as long as its frame.
    let end = if stated == 0 && protocol == HOP_BY_HOP { frame.length() } else { at + stated };
    if end > frame.length() || end < at {
        return Err(Reason::Ipv6Length);
    }
    if fixed[7] == 0 {
        return Err(Reason::TtlZero);
    }
    if is_martian_v6(u128::from_be_bytes(source), protocol) {
        return Err(Reason::MartianSource);
    }
    if source == destination {
        return Err(Reason::Land);
    }
    let mut goes_on = false;
    let mut extensions = 0;
    while is_extension(protocol) {
        if extensions == MAX_EXTENSIONS {
            return Err(Reason::TooManyExtensions);
        }
        extensions += 1;
        let Some(head) = frame.read::<4>(at) else { return Err(Reason::TruncatedExtension) };
        let bytes = match protocol {
            FRAGMENT => 8,
            AUTHENTICATION => (usize::from(head[1]) + 2) * 4,
            _ => (usize::from(head[1]) + 1) * 8,
        };
        let payload_at = at + bytes;
        if payload_at > end {
            return Err(Reason::TruncatedExtension);
        }
        let carried = protocol;
        protocol = head[0];
        at = payload_at;
        if carried == FRAGMENT {
            let word = u16::from_be_bytes([head[2], head[3]]);
            let (offset, more) = (usize::from(word & 0xfff8), word & 1 != 0);
            // With neither it is a whole packet in a fragment's dress (RFC 6946).
            if (offset != 0 || more) && is_odd_fragment(offset, more, end - at, end - at, protocol) {
                return Err(Reason::MalformedFragment);
            }
            if offset != 0 {
                return Ok(later_fragment(protocol));
            }
            goes_on = more;
        }
    }
    payload(frame, &Payload { protocol, at, bytes: end - at, goes_on })
}

#[inline(always)]
const fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HOST_IDENTITY | SHIM
    )
}

/// No address, loopback, multicast, and IPv4's in the disguise of IPv6.
#[inline(always)]
const fn is_martian_v6(source: u128, protocol: u8) -> bool {
    // A host that makes sure its address is free, or joins a group, has none yet; both are ICMP, and
    // the latter behind a hop-by-hop header.
    (source == 0 && protocol != ICMP_V6 && protocol != HOP_BY_HOP)
        || source == 1
        || source >> 120 == 0xff
        || source >> 32 == 0xffff
}

#[inline(always)]
fn payload<F: Frame + ?Sized>(frame: &F, payload: &Payload) -> Result<Class, Reason> {
    match payload.protocol {
        TCP => tcp(frame, payload),
        UDP => udp(frame, payload),
        ICMP | ICMP_V6 => {
            const BYTES: usize = 8;
            if payload.bytes < BYTES { Err(cut(payload, Reason::TruncatedIcmp)) } else { Ok(Class::Other) }
        }
        _ => Ok(Class::Other),
    }
}

/// A head that does not fit into the first of several fragments was cut up to hide it.
#[inline(always)]
const fn cut(payload: &Payload, whole: Reason) -> Reason {
    if payload.goes_on { Reason::MalformedFragment } else { whole }
}

#[inline(always)]
fn tcp<F: Frame + ?Sized>(frame: &F, payload: &Payload) -> Result<Class, Reason> {
    const BYTES: usize = 20;
    if payload.bytes < BYTES {
        return Err(cut(payload, Reason::TruncatedTcp));
    }
    let Some([offset, flags]) = frame.read(payload.at + 12) else { return Err(Reason::TruncatedTcp) };
    let head_bytes = usize::from(offset >> 4) * 4;
    if head_bytes < BYTES || head_bytes > payload.bytes {
        return Err(Reason::MalformedTcp);
    }
    if flags & (FIN | SYN | RST | PSH | ACK | URG) == 0 {
        return Err(Reason::TcpNull);
    }
    if flags & (FIN | PSH | URG) == FIN | PSH | URG {
        return Err(Reason::TcpXmas);
    }
    if flags & SYN != 0 && flags & (FIN | RST) != 0 {
        return Err(Reason::TcpSynFin);
    }
    Ok(if flags & (SYN | ACK) == SYN { Class::Syn } else { Class::Other })
}

#[inline(always)]
fn udp<F: Frame + ?Sized>(frame: &F, payload: &Payload) -> Result<Class, Reason> {
    const BYTES: usize = 8;
    if payload.bytes < BYTES {
        return Err(cut(payload, Reason::TruncatedUdp));
    }
    let Some(stated) = frame.read(payload.at + 4) else { return Err(Reason::TruncatedUdp) };
    let stated = usize::from(u16::from_be_bytes(stated));
    // A jumbogram's says nothing.
    let is_jumbo = stated == 0 && payload.bytes > usize::from(u16::MAX);
    if !is_jumbo && (stated < BYTES || (stated > payload.bytes && !payload.goes_on)) {
        return Err(Reason::MalformedUdp);
    }
    Ok(Class::Udp)
}
