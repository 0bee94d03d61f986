//! What a frame carries of TCP: a whole segment, or a fragment of one.

use skyshield_common::tap::{FIRST, LATER, WHOLE};

use crate::look::TCP;
use crate::parse::{Frame, IPV4_MIN_BYTES, IPV6_BYTES, Packet};
use crate::walk::{Part, is_extension};

/// What an IP packet carries of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Where it begins.
    pub at: usize,
    /// How many bytes it has.
    pub bytes: usize,
    /// [`WHOLE`], [`FIRST`] or [`LATER`].
    pub part: u8,
    /// What the fragments of one packet have in common.
    pub fragment_id: u32,
    /// Where it lies in its packet; the last bit says that more follow.
    pub fragment: u32,
}

/// Finds what `packet` carries; nothing where that is not TCP, or not all there.
#[inline(always)]
pub fn carried<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> Option<Carried> {
    if packet.is_v6 { carried_v6(frame, packet.header_at) } else { carried_v4(frame, packet.header_at) }
}

const fn part(fragment: u32) -> u8 {
    match fragment {
        0 => WHOLE,
        1 => FIRST,
        _ => LATER,
    }
}

#[inline(always)]
fn carried_v4<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Carried> {
    let [first, second, third] = frame.quads(at)?;
    let (head, total) = ((first >> 24 & 0x0f) as usize * 4, (first & 0xffff) as usize);
    if third >> 16 & 0xff != u32::from(TCP)
        || head < IPV4_MIN_BYTES
        || total <= head
        || at + total > frame.length()
    {
        return None;
    }
    let fragment = (second & 0x1fff) << 3 | (second >> 13 & 1);
    Some(Carried {
        at: at + head,
        bytes: total - head,
        part: part(fragment),
        fragment_id: second >> 16,
        fragment,
    })
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "fields of words")]
fn carried_v6<F: Frame + ?Sized>(frame: &F, header_at: usize) -> Option<Carried> {
    let [first] = frame.words(header_at)?;
    let (next, stated) = ((first >> 8) as u8, (first >> 16 & 0xffff) as usize);
    let (at, end) = (header_at + IPV6_BYTES, header_at + IPV6_BYTES + stated);
    if end > frame.length() || stated == 0 {
        return None;
    }
    let whole = |at| Carried { at, bytes: end - at, part: WHOLE, fragment_id: 0, fragment: 0 };
    if next == TCP {
        return Some(whole(at));
    }
    if !is_extension(next) {
        return None;
    }
    let walked = frame.walk(next, at, end);
    if walked.protocol != TCP || walked.oddity.is_oddity() || walked.at >= end || walked.at < at + 8 {
        return None;
    }
    if walked.part == Part::Whole {
        return Some(whole(walked.at));
    }
    // The fragment's own header stands right before; where another one stands between, its packet is
    // not put together, and shows as a gap.
    let [word, fragment_id] = frame.quads(walked.at - 8)?;
    let fragment = word & 0xfff9;
    if word >> 24 != u32::from(TCP)
        || (fragment == 0)
        || (part(fragment) == FIRST) != (walked.part == Part::First)
    {
        return None;
    }
    Some(Carried { part: part(fragment), fragment_id, fragment, ..whole(walked.at) })
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::parse::parse;

    fn v4(fragment: u16, payload: usize, padding: usize) -> Vec<u8> {
        let mut frame = vec![0_u8; 14 + 20 + payload + padding];
        frame[12] = 0x08;
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&u16::try_from(20 + payload).unwrap().to_be_bytes());
        frame[18..20].copy_from_slice(&[0xab, 0xcd]);
        frame[20..22].copy_from_slice(&fragment.to_be_bytes());
        frame[23] = TCP;
        frame[26] = 203;
        frame
    }

    fn found(frame: &[u8]) -> Option<Carried> {
        carried(frame, &parse(frame).unwrap())
    }

    #[test]
    fn what_pads_a_frame_is_not_of_the_segment() {
        let expected = Carried { at: 34, bytes: 30, part: WHOLE, fragment_id: 0xabcd, fragment: 0 };
        assert_eq!(found(&v4(0x4000, 30, 6)), Some(expected));
        let mut short = v4(0, 30, 0);
        short.pop();
        assert_eq!(found(&short), None);
    }

    #[test]
    fn fragments_say_where_they_lie() {
        for (field, part, fragment) in [(0x2000, FIRST, 1), (0x2003, LATER, 25), (0x0003, LATER, 24)] {
            let carried = found(&v4(field, 32, 0)).unwrap();
            assert_eq!((carried.part, carried.fragment, carried.fragment_id), (part, fragment, 0xabcd));
        }
    }

    #[test]
    fn a_fragment_of_ipv6_is_found_behind_its_header() {
        let mut frame = vec![0_u8; 14 + 40 + 8 + 24];
        (frame[12], frame[13], frame[14], frame[19]) = (0x86, 0xdd, 0x60, 32);
        (frame[20], frame[21], frame[22]) = (44, 64, 0x20);
        (frame[54], frame[57], frame[61]) = (TCP, 1, 9);
        let expected = Carried { at: 62, bytes: 24, part: FIRST, fragment_id: 9, fragment: 1 };
        assert_eq!(found(&frame), Some(expected));
        frame[56..58].copy_from_slice(&[0, 0x18]);
        assert_eq!(found(&frame), Some(Carried { part: LATER, fragment: 0x18, ..expected }));
        frame[20] = TCP;
        assert_eq!(found(&frame).map(|carried| (carried.at, carried.part)), Some((54, WHOLE)));
    }
}
