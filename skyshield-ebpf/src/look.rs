//! What a packet is, beyond its source: malformed, impossible, or of which class.

use skyshield_common::{Address, Reason};

use crate::parse::{Frame, IPV4_MIN_BYTES, IPV6_BYTES, Packet};
use crate::walk::{HOP_BY_HOP, Part, Walked, is_extension};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMP_V6: u8 = 58;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
pub(crate) const URG: u8 = 0x20;

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

/// What [`look`] saw. Every way to it sets both: what one of them left open, the compiler would fill
/// with whatever a register holds, which the verifier refuses if that is a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The class; [`Class::Other`] of what is odd.
    pub class: Class,
    /// The first thing that is odd about it, or [`Reason::Passed`].
    pub oddity: Reason,
}

impl Looked {
    const fn of(class: Class) -> Self {
        Self { class, oddity: Reason::Passed }
    }

    const fn odd(oddity: Reason) -> Self {
        Self { class: Class::Other, oddity }
    }
}

/// Tells a packet's class, and what is odd about it.
#[inline(always)]
pub fn look<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> Looked {
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
#[expect(clippy::cast_possible_truncation, reason = "fields of words")]
pub(crate) fn look_v4<F: Frame + ?Sized>(frame: &F, at: usize) -> Looked {
    let Some([first, second, third, source, destination]) = frame.quads(at) else {
        return Looked::odd(Reason::TruncatedIpv4);
    };
    let header_bytes = (first >> 24 & 0x0f) as usize * 4;
    let total_bytes = (first & 0xffff) as usize;
    if total_bytes < header_bytes || at + total_bytes > frame.length() {
        return Looked::odd(Reason::Ipv4Length);
    }
    if header_bytes > IPV4_MIN_BYTES && frame.read::<1>(at + header_bytes - 1).is_none() {
        return Looked::odd(Reason::TruncatedIpv4);
    }
    if third >> 24 == 0 {
        return Looked::odd(Reason::TtlZero);
    }
    let protocol = (third >> 16) as u8;
    if is_martian_v4(source) {
        // A host that has no address yet asks everybody for one.
        let asks = source == 0 && destination == u32::MAX && protocol == UDP;
        if !asks {
            return Looked::odd(Reason::MartianSource);
        }
    }
    if source == destination {
        return Looked::odd(Reason::Land);
    }
    let bytes = total_bytes - header_bytes;
    let offset = (second & 0x1fff) as usize * 8;
    let more = second & 0x2000 != 0;
    if (offset != 0 || more) && is_odd_fragment(offset, more, bytes, total_bytes, protocol) {
        return Looked::odd(Reason::MalformedFragment);
    }
    if offset != 0 {
        return Looked::of(later_fragment(protocol));
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
pub(crate) const fn is_odd_fragment(
    offset: usize,
    more: bool,
    bytes: usize,
    whole: usize,
    protocol: u8,
) -> bool {
    const LARGEST: usize = 65_535;
    // At 8 it would write over the flags of a TCP header that was judged without them (RFC 1858).
    bytes == 0
        || (more && !bytes.is_multiple_of(8))
        || offset + whole > LARGEST
        || (offset == 8 && protocol == TCP)
}

#[inline(always)]
const fn later_fragment(protocol: u8) -> Class {
    if protocol == UDP { Class::Udp } else { Class::Other }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "fields of words")]
pub(crate) fn look_v6<F: Frame + ?Sized>(frame: &F, header_at: usize) -> Looked {
    let Some([first, high, low, to_high, to_low]) = frame.words(header_at) else {
        return Looked::odd(Reason::TruncatedIpv6);
    };
    let (source, destination) = (Address { high, low }, Address { high: to_high, low: to_low });
    let (protocol, hop_limit) = ((first >> 8) as u8, first as u8);
    let stated = (first >> 16 & 0xffff) as usize;
    let at = header_at + IPV6_BYTES;
    // None stated and an option to state it in: a jumbogram, which is as long as its frame.
    let end = if stated == 0 && protocol == HOP_BY_HOP { frame.length() } else { at + stated };
    if end > frame.length() || end < at {
        return Looked::odd(Reason::Ipv6Length);
    }
    if hop_limit == 0 {
        return Looked::odd(Reason::TtlZero);
    }
    if is_martian_v6(source, protocol) {
        return Looked::odd(Reason::MartianSource);
    }
    if source == destination {
        return Looked::odd(Reason::Land);
    }
    if !is_extension(protocol) {
        return payload(frame, &Payload { protocol, at, bytes: end - at, goes_on: false });
    }
    let Walked { protocol, at, part, oddity } = frame.walk(protocol, at, end);
    if oddity != Reason::Passed {
        return Looked::odd(oddity);
    }
    if part == Part::Later {
        return Looked::of(later_fragment(protocol));
    }
    payload(frame, &Payload { protocol, at, bytes: end - at, goes_on: part == Part::First })
}

/// No address, loopback, multicast, and IPv4's in the disguise of IPv6.
#[inline(always)]
const fn is_martian_v6(source: Address, protocol: u8) -> bool {
    // A host that makes sure its address is free, or joins a group, has none yet; both are ICMP, and
    // the latter behind a hop-by-hop header.
    const MULTICAST: u64 = 0xff;
    source.high >> 56 == MULTICAST
        || (source.high == 0
            && ((source.low == 0 && protocol != ICMP_V6 && protocol != HOP_BY_HOP)
                || source.low == 1
                || source.v4().is_some()))
}

#[inline(always)]
fn payload<F: Frame + ?Sized>(frame: &F, payload: &Payload) -> Looked {
    match payload.protocol {
        TCP => tcp(frame, payload),
        UDP => udp(frame, payload),
        ICMP | ICMP_V6 => {
            const BYTES: usize = 8;
            if payload.bytes < BYTES {
                Looked::odd(cut(payload, Reason::TruncatedIcmp))
            } else {
                Looked::of(Class::Other)
            }
        }
        _ => Looked::of(Class::Other),
    }
}

/// A head that does not fit into the first of several fragments was cut up to hide it.
#[inline(always)]
const fn cut(payload: &Payload, whole: Reason) -> Reason {
    if payload.goes_on { Reason::MalformedFragment } else { whole }
}

#[inline(always)]
fn tcp<F: Frame + ?Sized>(frame: &F, payload: &Payload) -> Looked {
    const BYTES: usize = 20;
    if payload.bytes < BYTES {
        return Looked::odd(cut(payload, Reason::TruncatedTcp));
    }
    let Some([offset, flags]) = frame.read(payload.at + 12) else { return Looked::odd(Reason::TruncatedTcp) };
    let head_bytes = usize::from(offset >> 4) * 4;
    if head_bytes < BYTES {
        return Looked::odd(Reason::MalformedTcp);
    }
    if head_bytes > payload.bytes {
        return Looked::odd(cut(payload, Reason::MalformedTcp));
    }
    if flags & (FIN | SYN | RST | PSH | ACK | URG) == 0 {
        return Looked::odd(Reason::TcpNull);
    }
    if flags & (FIN | PSH | URG) == FIN | PSH | URG {
        return Looked::odd(Reason::TcpXmas);
    }
    if flags & SYN != 0 && flags & (FIN | RST) != 0 {
        return Looked::odd(Reason::TcpSynFin);
    }
    Looked::of(if flags & (SYN | ACK) == SYN { Class::Syn } else { Class::Other })
}

#[inline(always)]
fn udp<F: Frame + ?Sized>(frame: &F, payload: &Payload) -> Looked {
    const BYTES: usize = 8;
    if payload.bytes < BYTES {
        return Looked::odd(cut(payload, Reason::TruncatedUdp));
    }
    let Some(stated) = frame.read(payload.at + 4) else { return Looked::odd(Reason::TruncatedUdp) };
    let stated = usize::from(u16::from_be_bytes(stated));
    // A jumbogram's says nothing.
    let is_jumbo = stated == 0 && payload.bytes > usize::from(u16::MAX);
    if !is_jumbo && (stated < BYTES || (stated > payload.bytes && !payload.goes_on)) {
        return Looked::odd(Reason::MalformedUdp);
    }
    Looked::of(Class::Udp)
}
