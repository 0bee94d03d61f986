//! From a frame to the packet in it and to who sent that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use skyshield_common::Reason;

/// An IP packet, from its header to the end of its frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    /// IPv4's in the disguise of IPv6 is IPv4's.
    pub(super) source: IpAddr,
    pub(super) bytes: Bytes<'a>,
}

/// By the header that it begins with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bytes<'a> {
    V4(&'a [u8]),
    V6(&'a [u8]),
}

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next `count` bytes, or nothing of what is too short for them.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(taken)
    }

    /// The next number of two bytes.
    pub(super) fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| number(bytes, 0))
    }
}

/// The number of two bytes at `at`, of bytes that are there.
pub(super) fn number(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The packet in `frame`, or why there is none whose source could be known.
pub(super) fn packet(frame: &[u8]) -> Result<Packet<'_>, Reason> {
    const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
    let mut rest = Cursor(frame);
    rest.take(12).ok_or(Reason::TruncatedEthernet)?;
    let mut kind = rest.number().ok_or(Reason::TruncatedEthernet)?;
    let mut tags = 0;
    while TAGS.contains(&kind) {
        tags += 1;
        if tags > 2 {
            return Err(Reason::TooManyVlans);
        }
        rest.take(2).ok_or(Reason::TruncatedVlan)?;
        kind = rest.number().ok_or(Reason::TruncatedVlan)?;
    }
    match kind {
        0x0800 => v4(rest.0),
        0x86dd => v6(rest.0),
        _ => Err(Reason::NotIp),
    }
}

fn v4(bytes: &[u8]) -> Result<Packet<'_>, Reason> {
    let header = Cursor(bytes).take(20).ok_or(Reason::TruncatedIpv4)?;
    let (version, words) = (header[0] >> 4, header[0] & 0x0f);
    if version != 4 || words < 5 {
        return Err(Reason::MalformedIpv4);
    }
    let source = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
    Ok(Packet { source: source.into(), bytes: Bytes::V4(bytes) })
}

fn v6(bytes: &[u8]) -> Result<Packet<'_>, Reason> {
    let header = Cursor(bytes).take(40).ok_or(Reason::TruncatedIpv6)?;
    if header[0] >> 4 != 6 {
        return Err(Reason::MalformedIpv6);
    }
    Ok(Packet { source: address(&header[8..24]).to_canonical(), bytes: Bytes::V6(bytes) })
}

/// The address that these sixteen bytes are.
pub(super) fn address(bytes: &[u8]) -> Ipv6Addr {
    Ipv6Addr::from_bits(bytes.iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
}
