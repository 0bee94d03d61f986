//! What most packets are: in one piece, without options or extension headers, and nothing odd about them. Told by few
//! comparisons; what is otherwise need not be odd, which [`look`](crate::look) says.

use crate::look::{FIN, ICMP, ICMP_V6, PSH, RST, SYN, TCP, UDP, URG};
use crate::parse::{Frame, IPV4_MIN_BYTES, IPV6_BYTES};
use crate::walk::is_extension;

/// Whether an IPv4 packet is plain. It has no options and no more bytes than its frame.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "fields of words")]
pub(crate) fn is_plain_v4<F: Frame + ?Sized>(
    frame: &F,
    at: usize,
    [first, second, third, source, destination]: [u32; 5],
) -> bool {
    // This network, loopback, multicast and all beyond.
    let network = source >> 24;
    if network == 127 || network.wrapping_sub(1) >= 223 {
        return false;
    }
    let is_fragment = second & 0x3fff != 0;
    if is_fragment || third >> 24 == 0 || source == destination {
        return false;
    }
    let total = first & 0xffff;
    if total < IPV4_MIN_BYTES as u32 {
        return false;
    }
    is_plain(frame, at + IPV4_MIN_BYTES, third >> 16 & 0xff, total - IPV4_MIN_BYTES as u32)
}

/// Whether an IPv6 packet is plain. It has no more bytes than its frame.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the last field of a word")]
pub(crate) fn is_plain_v6<F: Frame + ?Sized>(
    frame: &F,
    at: usize,
    [first, high, low, to_high, to_low]: [u64; 5],
) -> bool {
    // Multicast, and what begins with so many zeros.
    if high >> 56 == 0xff || high == 0 || first as u8 == 0 {
        return false;
    }
    if high == to_high && low == to_low {
        return false;
    }
    is_plain(frame, at + IPV6_BYTES, (first >> 8 & 0xff) as u32, (first >> 16 & 0xffff) as u32)
}

/// Whether what an IP header of this protocol carries is plain, at a place that the compiler knows.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "an octet")]
fn is_plain<F: Frame + ?Sized>(frame: &F, at: usize, protocol: u32, bytes: u32) -> bool {
    const LEAST: u32 = 8;
    match protocol as u8 {
        TCP => {
            let Some(word) = frame.read(at + 12) else { return false };
            let word = u32::from(u16::from_be_bytes(word));
            let head_bytes = word >> 12 << 2;
            head_bytes >= 20 && head_bytes <= bytes && ODD_FLAGS >> (word & 0x3f) & 1 == 0
        }
        UDP => {
            let Some(stated) = frame.read(at + 4) else { return false };
            let stated = u32::from(u16::from_be_bytes(stated));
            stated >= LEAST && stated <= bytes
        }
        ICMP | ICMP_V6 => bytes >= LEAST,
        other => !is_extension(other),
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
