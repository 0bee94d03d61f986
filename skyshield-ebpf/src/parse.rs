//! From a frame to the source of the packet it carries, or the reason why there is none to look at.
//!
//! Only what a ban asks for is read here; [`look`](crate::look) reads the rest, of packets that no
//! ban has ended.

use skyshield_common::rules::Layer4;
use skyshield_common::{Address, Reason};

use crate::look::{TCP, UDP};
use crate::walk::{Part, Walked, is_extension, walk};

pub(crate) const ETHERTYPE_AT: usize = 12;
pub(crate) const ETHERNET_BYTES: usize = 14;
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad and the old 802.1ad: a tag stands where the protocol was expected.
const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// A customer's tag in a provider's.
const MAX_TAGS: usize = 2;

pub(crate) const IPV4_MIN_BYTES: usize = 20;
pub(crate) const IPV6_BYTES: usize = 40;

/// The bytes of a frame that the program may look at, from the Ethernet header on.
pub trait Frame {
    /// The `N` bytes at `offset`, or `None` if the frame does not reach that far.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
    /// The words of four bytes at `offset`, as numbers of network order. Loaded whole, where a word made
    /// of bytes might be loaded by the byte.
    fn quads<const N: usize>(&self, offset: usize) -> Option<[u32; N]>;
    /// The words of eight bytes at `offset`, likewise.
    fn words<const N: usize>(&self, offset: usize) -> Option<[u64; N]>;
    /// The frame's whole length; more than can be read where it lies in several buffers.
    fn length(&self) -> usize;
    /// `number`, of at most seven bits, as one of many: a verifier that follows each path on its own
    /// from where it has got its number walks all that is common to them once for each.
    #[inline(always)]
    fn opaque(&self, number: usize) -> usize {
        number
    }
    /// The same of a reason.
    #[inline(always)]
    fn one_of_many(&self, reason: Reason) -> Reason {
        reason
    }
    /// What [`walk`] says; a frame may have it say so elsewhere.
    fn walk(&self, extension: u8, at: usize, end: usize) -> Walked {
        walk(self, extension, at, end)
    }
    /// What [`layer4`] says; a frame may have it say so elsewhere.
    fn layer4(&self, packet: &Packet) -> Layer4 {
        layer4(self, packet)
    }
}

impl Frame for [u8] {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }

    fn quads<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        let (words, _) = self.get(offset..)?.as_chunks();
        Some(words.first_chunk::<N>()?.map(u32::from_be_bytes))
    }

    fn words<const N: usize>(&self, offset: usize) -> Option<[u64; N]> {
        let (words, _) = self.get(offset..)?.as_chunks();
        Some(words.first_chunk::<N>()?.map(u64::from_be_bytes))
    }

    fn length(&self) -> usize {
        self.len()
    }
}

/// An IP packet, as far as a ban asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it says it comes from.
    pub source: Address,
    /// Where its IP header begins.
    pub header_at: usize,
    /// Which header that is; the source may be IPv4 all the same, mapped.
    pub is_v6: bool,
}

/// Reads a frame up to its source address.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F) -> Result<Packet, Reason> {
    let mut at = ETHERTYPE_AT;
    let Some(bytes) = frame.read(at) else { return Err(Reason::TruncatedEthernet) };
    let mut ethertype = u16::from_be_bytes(bytes);
    let mut tags = 0;
    while is_tag(ethertype) {
        if tags == MAX_TAGS {
            return Err(Reason::TooManyVlans);
        }
        tags += 1;
        at += 4;
        let Some(bytes) = frame.read(at) else { return Err(Reason::TruncatedVlan) };
        ethertype = u16::from_be_bytes(bytes);
    }
    match ethertype {
        IPV4 => parse_v4(frame, at + 2),
        IPV6 => parse_v6(frame, at + 2),
        _ => Err(Reason::NotIp),
    }
}

#[inline(always)]
const fn is_tag(ethertype: u16) -> bool {
    ethertype == VLAN[0] || ethertype == VLAN[1] || ethertype == VLAN[2]
}

#[inline(always)]
pub(crate) fn parse_v4<F: Frame + ?Sized>(frame: &F, header_at: usize) -> Result<Packet, Reason> {
    let Some([first, _, _, source, _]) = frame.quads(header_at) else { return Err(Reason::TruncatedIpv4) };
    if first >> 28 != 4 || first >> 24 & 0x0f < 5 {
        return Err(Reason::MalformedIpv4);
    }
    Ok(Packet { source: Address::from_v4(source), header_at, is_v6: false })
}

#[inline(always)]
pub(crate) fn parse_v6<F: Frame + ?Sized>(frame: &F, header_at: usize) -> Result<Packet, Reason> {
    let Some([first, high, low, _, _]) = frame.words(header_at) else { return Err(Reason::TruncatedIpv6) };
    if first >> 60 != 6 {
        return Err(Reason::MalformedIpv6);
    }
    Ok(Packet { source: Address { high, low }, header_at, is_v6: true })
}

/// What an event tells of a packet beside its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The IP protocol, or the first next header of IPv6.
    pub protocol: u8,
    /// TCP or UDP ports (source, destination), 0 where there are none to read.
    pub ports: (u16, u16),
}

/// Reads what an event tells.
#[inline(always)]
pub fn details<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> Details {
    let at = packet.header_at;
    let (protocol, payload_at) = if packet.is_v6 {
        let Some([protocol]) = frame.read(at + 6) else { return Details::default() };
        (protocol, at + IPV6_BYTES)
    } else {
        let Some(header) = frame.read::<IPV4_MIN_BYTES>(at) else { return Details::default() };
        if u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0 {
            // A later fragment has no ports.
            return Details { protocol: header[9], ports: (0, 0) };
        }
        (header[9], at + usize::from(header[0] & 0x0f) * 4)
    };
    let ports = if protocol == TCP || protocol == UDP { frame.read::<4>(payload_at) } else { None };
    let ports = ports.map_or((0, 0), |[a, b, c, d]| (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])));
    Details { protocol, ports }
}

/// Reads what rules ask for: the protocol behind all headers of IP, and the ports, if the packet has them.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "fields of words")]
pub fn layer4<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> Layer4 {
    let at = packet.header_at;
    let (protocol, payload_at, is_later) = if packet.is_v6 {
        let Some([protocol]) = frame.read(at + 6) else { return Layer4::new(0, None) };
        if is_extension(protocol) {
            // As far as the frame goes: what its packet states was looked at already.
            let walked = frame.walk(protocol, at + IPV6_BYTES, frame.length());
            let is_read = walked.oddity == Reason::Passed && walked.part != Part::Later;
            (walked.protocol, walked.at, !is_read)
        } else {
            (protocol, at + IPV6_BYTES, false)
        }
    } else {
        let Some([first, second, third]) = frame.quads(at) else { return Layer4::new(0, None) };
        ((third >> 16 & 0xff) as u8, at + (first >> 24 & 0x0f) as usize * 4, second & 0x1fff != 0)
    };
    if is_later || (protocol != TCP && protocol != UDP) {
        return Layer4::new(protocol, None);
    }
    let Some([ports]) = frame.quads(payload_at) else { return Layer4::new(protocol, None) };
    Layer4::new(protocol, Some(((ports >> 16) as u16, ports as u16)))
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::look::look;

    fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0_u8; ETHERTYPE_AT];
        frame.extend(ethertype.to_be_bytes());
        frame.extend(payload);
        frame
    }

    fn udp_v4(first: u8, fragment: u16) -> Vec<u8> {
        let mut payload = vec![0_u8; 60];
        payload[0] = first;
        payload[2..4].copy_from_slice(&60_u16.to_be_bytes());
        payload[6..8].copy_from_slice(&fragment.to_be_bytes());
        payload[8] = 64;
        payload[9] = UDP;
        payload[12..16].copy_from_slice(&[203, 0, 113, 7]);
        let at = usize::from(first & 0x0f) * 4;
        if let Some(ports) = payload.get_mut(at..at + 4) {
            ports.copy_from_slice(&[0x30, 0x39, 0x00, 0x35]);
        }
        ethernet(IPV4, &payload)
    }

    #[test]
    fn options_move_the_ports_and_a_later_fragment_has_none() {
        for (first, fragment, expected) in [
            (0x45, 0, (12345, 53)),
            (0x4e, 0, (12345, 53)),
            (0x45, 0x2000, (12345, 53)),
            (0x45, 0x0001, (0, 0)),
        ] {
            let frame = udp_v4(first, fragment);
            let packet = parse(frame.as_slice()).unwrap();
            assert_eq!(packet.source, Address::from_v4(0xcb00_7107));
            assert_eq!(details(frame.as_slice(), &packet), Details { protocol: UDP, ports: expected });
            let ports = (expected != (0, 0)).then_some(expected);
            assert_eq!(layer4(frame.as_slice(), &packet), Layer4::new(UDP, ports));
        }
        // The longest header leaves no room for ports in this frame.
        let frame = udp_v4(0x4f, 0);
        assert_eq!(details(frame.as_slice(), &parse(frame.as_slice()).unwrap()).ports, (0, 0));
    }

    #[test]
    fn up_to_two_tags_are_looked_behind() {
        let mut frame = udp_v4(0x45, 0);
        for tags in 1..=2 {
            let inner = frame.split_off(ETHERTYPE_AT);
            frame.extend([0x88, 0xa8, 0x00, 0x07]);
            frame.extend(inner);
            let packet = parse(frame.as_slice()).unwrap();
            assert_eq!(packet.source, Address::from_v4(0xcb00_7107));
            assert_eq!(packet.header_at, 14 + 4 * tags);
        }
        let inner = frame.split_off(ETHERTYPE_AT);
        frame.extend([0x81, 0x00, 0x00, 0x07]);
        frame.extend(inner);
        assert_eq!(parse(frame.as_slice()), Err(Reason::TooManyVlans));
    }

    #[test]
    fn what_is_no_packet_has_its_reason() {
        assert_eq!(parse(ethernet(0x0806, &[0; 28]).as_slice()), Err(Reason::NotIp));
        for tag in VLAN {
            assert_eq!(parse(ethernet(tag, &[0; 50]).as_slice()), Err(Reason::NotIp));
            assert_eq!(parse(ethernet(tag, &[0; 3]).as_slice()), Err(Reason::TruncatedVlan));
        }
        assert_eq!(parse(udp_v4(0x65, 0).as_slice()), Err(Reason::MalformedIpv4));
        assert_eq!(parse(udp_v4(0x44, 0).as_slice()), Err(Reason::MalformedIpv4));
        assert_eq!(parse(ethernet(IPV6, &[0x40; 40]).as_slice()), Err(Reason::MalformedIpv6));
    }

    proptest! {
        #[test]
        fn no_bytes_are_beyond_it(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            ethertype in prop::sample::select(vec![IPV4, IPV6, VLAN[0], 0x0806]),
            first in prop::option::of(prop::sample::select(vec![0x45_u8, 0x46, 0x4f, 0x60])),
        ) {
            let mut frame = bytes;
            if let Some(field) = frame.get_mut(ETHERTYPE_AT..ETHERTYPE_AT + 2) {
                field.copy_from_slice(&ethertype.to_be_bytes());
            }
            if let (Some(first), Some(field)) = (first, frame.get_mut(14)) {
                *field = first;
            }
            match parse(frame.as_slice()) {
                Ok(packet) => {
                    details(frame.as_slice(), &packet);
                    layer4(frame.as_slice(), &packet);
                    let oddity = look(frame.as_slice(), &packet).oddity;
                    prop_assert!(oddity.is_oddity() || oddity == Reason::Passed);
                    prop_assert_eq!(oddity.verdict(), skyshield_common::Verdict::Pass);
                }
                Err(Reason::TruncatedEthernet) => prop_assert!(frame.len() < 14),
                Err(reason) => prop_assert_eq!(reason.verdict(), skyshield_common::Verdict::Pass),
            }
        }
    }
}
