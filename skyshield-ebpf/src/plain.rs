//! What most packets are: in one piece, without options or extension headers, and nothing odd about them. Told by few
//! comparisons; what is otherwise need not be odd, which [`look`](crate::look) says.

use skyshield_common::Address;

use crate::look::{FIN, ICMP, ICMP_V6, PSH, RST, SYN, TCP, UDP, URG};
use crate::parse::{ETHERNET_BYTES, Frame, IPV4_MIN_BYTES, IPV6_BYTES};
use crate::walk::is_extension;

/// Whether a packet is not odd for coming from this address.
#[inline(always)]
pub(crate) const fn is_plain_source(source: Address) -> bool {
    match source.v4() {
        // This network, loopback, multicast and all beyond.
        Some(address) => {
            let network = address >> 24;
            network != 127 && network.wrapping_sub(1) < 223
        }
        // Multicast, and what begins with so many zeros.
        None => source.high >> 56 != 0xff && source.high != 0,
    }
}

/// Whether an IPv4 packet is plain, but for its source. It has no options and no more bytes than its frame.
#[inline(always)]
pub(crate) fn is_plain_v4<F: Frame + ?Sized>(
    frame: &F,
    [first, second, third, source, destination]: [u32; 5],
) -> bool {
    let is_fragment = second & 0x3fff != 0;
    if is_fragment || third >> 24 == 0 || source == destination {
        return false;
    }
    let (protocol, bytes) = (third >> 16 & 0xff, first & 0xffff);
    is_plain::<_, { ETHERNET_BYTES + IPV4_MIN_BYTES }>(frame, protocol, IPV4_MIN_BYTES, bytes as usize)
}

/// Whether an IPv6 packet is plain, but for its source. It has no more bytes than its frame.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "fields of a word")]
pub(crate) fn is_plain_v6<F: Frame + ?Sized>(
    frame: &F,
    [first, high, low, to_high, to_low]: [u64; 5],
) -> bool {
    if first as u8 == 0 || high == to_high && low == to_low {
        return false;
    }
    let (protocol, bytes) = ((first >> 8 & 0xff) as u32, (first >> 16 & 0xffff) as usize);
    is_plain::<_, { ETHERNET_BYTES + IPV6_BYTES }>(frame, protocol, 0, bytes)
}

/// Whether what an IP header of this protocol carries is plain. `bytes` are the header's stated ones, of which the first
/// `head` are its own.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "an octet")]
fn is_plain<F: Frame + ?Sized, const AT: usize>(frame: &F, protocol: u32, head: usize, bytes: usize) -> bool {
    const LEAST: usize = 8;
    match protocol as u8 {
        TCP => {
            let Some(word) = frame.read(AT + 12) else { return false };
            let word = usize::from(u16::from_be_bytes(word));
            let head_bytes = word >> 12 << 2;
            head_bytes >= 20 && head + head_bytes <= bytes && ODD_FLAGS >> (word & 0x3f) & 1 == 0
        }
        UDP => {
            let Some(stated) = frame.read(AT + 4) else { return false };
            let stated = usize::from(u16::from_be_bytes(stated));
            stated >= LEAST && head + stated <= bytes
        }
        ICMP | ICMP_V6 => bytes >= head + LEAST,
        other => {
            core::hint::cold_path();
            bytes >= head && !is_extension(other)
        }
    }
}

/// A bit for each of the flags of TCP that [`look`](crate::look) finds odd.
const ODD_FLAGS: u64 = {
    let mut odd = 0;
    let mut flags = 0_u8;
    while flags < 64 {
        let is_xmas = flags & (FIN | PSH | URG) == FIN | PSH | URG;
        let is_syn_fin = flags & SYN != 0 && flags & (FIN | RST) != 0;
        if flags == 0 || is_xmas || is_syn_fin {
            odd |= 1 << flags;
        }
        flags += 1;
    }
    odd
};
