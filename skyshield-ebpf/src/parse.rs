//! From a frame to the packet it carries, or the reason why there is none to look at.
//!
//! Only what the screen needs is read: the source. Everything else waits until it is asked for.

use skyshield_common::{Address, Reason};

const ETHERNET_BYTES: usize = 14;
const ETHERTYPE_AT: usize = 12;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad and the old 802.1ad: a tag stands where the protocol was expected.
const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];

const IPV4_MIN_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The bytes of a frame that the program may look at, from the Ethernet header on.
pub trait Frame {
    /// The `N` bytes at `offset`, or `None` if the frame does not reach that far.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

impl Frame for [u8] {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

/// An IP packet, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it says it comes from.
    pub source: Address,
    /// The IP protocol, or the first next header of IPv6.
    pub protocol: u8,
    /// Where the payload begins; 0 in a fragment other than the first, which has no ports.
    pub payload_at: usize,
}

/// Reads a frame up to its source address.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F) -> Result<Packet, Reason> {
    let Some(ethertype) = frame.read(ETHERTYPE_AT) else { return Err(Reason::TruncatedEthernet) };
    match u16::from_be_bytes(ethertype) {
        IPV4 => parse_v4(frame),
        IPV6 => parse_v6(frame),
        tag if tag == VLAN[0] || tag == VLAN[1] || tag == VLAN[2] => Err(Reason::VlanTagged),
        _ => Err(Reason::NotIp),
    }
}

#[inline(always)]
fn parse_v4<F: Frame + ?Sized>(frame: &F) -> Result<Packet, Reason> {
    let Some(header) = frame.read::<IPV4_MIN_BYTES>(ETHERNET_BYTES) else {
        return Err(Reason::TruncatedIpv4);
    };
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let total_bytes = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[0] >> 4 != 4 || header_bytes < IPV4_MIN_BYTES || total_bytes < header_bytes {
        return Err(Reason::MalformedIpv4);
    }
    let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
    Ok(Packet {
        source: Address::V4([header[12], header[13], header[14], header[15]]),
        protocol: header[9],
        payload_at: if fragment_offset == 0 { ETHERNET_BYTES + header_bytes } else { 0 },
    })
}

#[inline(always)]
fn parse_v6<F: Frame + ?Sized>(frame: &F) -> Result<Packet, Reason> {
    const SOURCE_AT: usize = ETHERNET_BYTES + 8;
    // The header's last byte first: with it in reach, all of it is.
    if frame.read::<1>(ETHERNET_BYTES + IPV6_BYTES - 1).is_none() {
        return Err(Reason::TruncatedIpv6);
    }
    let (Some([version]), Some([protocol]), Some(source)) =
        (frame.read(ETHERNET_BYTES), frame.read(ETHERNET_BYTES + 6), frame.read(SOURCE_AT))
    else {
        return Err(Reason::TruncatedIpv6);
    };
    if version >> 4 != 6 {
        return Err(Reason::MalformedIpv6);
    }
    Ok(Packet { source: Address::from_v6(source), protocol, payload_at: ETHERNET_BYTES + IPV6_BYTES })
}

/// The TCP or UDP ports (source, destination) of a packet, 0 where there are none to read.
#[inline(always)]
pub fn ports<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> (u16, u16) {
    if packet.payload_at == 0 || (packet.protocol != TCP && packet.protocol != UDP) {
        return (0, 0);
    }
    match frame.read::<4>(packet.payload_at) {
        Some([a, b, c, d]) => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
        None => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

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
            assert_eq!(packet.source, Address::V4([203, 0, 113, 7]));
            assert_eq!(ports(frame.as_slice(), &packet), expected);
        }
        // The longest header leaves no room for ports in this frame.
        let frame = udp_v4(0x4f, 0);
        assert_eq!(ports(frame.as_slice(), &parse(frame.as_slice()).unwrap()), (0, 0));
    }

    #[test]
    fn what_is_no_packet_has_its_reason() {
        assert_eq!(parse(ethernet(0x0806, &[0; 28]).as_slice()), Err(Reason::NotIp));
        for tag in VLAN {
            assert_eq!(parse(ethernet(tag, &[0; 50]).as_slice()), Err(Reason::VlanTagged));
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
        ) {
            let mut frame = bytes;
            if let Some(field) = frame.get_mut(ETHERTYPE_AT..ETHERNET_BYTES) {
                field.copy_from_slice(&ethertype.to_be_bytes());
            }
            match parse(frame.as_slice()) {
                Ok(packet) => { ports(frame.as_slice(), &packet); }
                Err(Reason::TruncatedEthernet) => prop_assert!(frame.len() < ETHERNET_BYTES),
                Err(Reason::TruncatedIpv4) => prop_assert!(frame.len() < ETHERNET_BYTES + IPV4_MIN_BYTES),
                Err(Reason::TruncatedIpv6) => prop_assert!(frame.len() < ETHERNET_BYTES + IPV6_BYTES),
                Err(reason) => prop_assert_eq!(reason.verdict(), skyshield_common::Verdict::Pass),
            }
        }
    }
}
