//! IP packets put together again, whose parts are fragments. As the host does: parts that overlap
//! undo the whole packet, and a checksum that is wrong does too.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use skyshield_common::Address;
use skyshield_common::tap::{FIRST, Segment, WHOLE};

/// Packets in parts at a time; beyond it the oldest is given up.
const PACKETS: usize = 64;
/// Parts of one packet: an IP packet in the smallest parts that are common.
const PARTS: usize = 128;
/// The host waits no longer either.
const WAIT: Duration = Duration::from_secs(30);
/// The longest IP packet.
const LONGEST: usize = 65_535;
const TCP_LEAST: usize = 20;
const TCP_PROTOCOL: u16 = 6;

/// What the parts of one packet have in common.
type Key = (Address, Address, u32);

#[derive(Debug)]
struct Packet {
    began: Instant,
    first: Option<Segment>,
    parts: Vec<(usize, Vec<u8>)>,
    /// Where it ends, once the last part is there.
    end: Option<usize>,
    is_spoilt: bool,
}

/// Packets of which parts are missing.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    packets: HashMap<Key, Packet>,
    order: VecDeque<Key>,
    /// Packets that were not put together.
    pub(super) given_up: u64,
}

impl Fragments {
    /// Takes a part; the whole segment, if that was the last one missing, with what TCP carries in it.
    pub(super) fn take(
        &mut self,
        segment: &Segment,
        held: &[u8],
        now: Instant,
    ) -> Option<(Segment, Vec<u8>)> {
        let key = (segment.source(), segment.destination(), segment.fragment_id);
        self.make_room(now);
        let packet = self.packets.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            Packet { began: now, first: None, parts: Vec::new(), end: None, is_spoilt: false }
        });
        let at = (segment.fragment & !7) as usize + segment.offset as usize;
        let is_last_piece = segment.offset + segment.bytes >= segment.length;
        packet.put(at, held, is_last_piece && segment.fragment & 1 == 0);
        if segment.part == FIRST && segment.offset == 0 {
            packet.first = Some(*segment);
        }
        if packet.is_spoilt {
            // What still comes of it must not begin another.
            return None;
        }
        let bytes = packet.whole()?;
        let first = packet.first?;
        self.packets.remove(&key);
        self.order.retain(|other| *other != key);
        let whole = segment_of(&first, &bytes);
        self.given_up += u64::from(whole.is_none());
        whole
    }

    fn make_room(&mut self, now: Instant) {
        while let Some(oldest) = self.order.front() {
            let packet = self.packets.get(oldest);
            let is_old = packet.is_none_or(|packet| now.saturating_duration_since(packet.began) > WAIT);
            if !is_old && self.order.len() < PACKETS {
                return;
            }
            self.given_up += u64::from(packet.is_some());
            self.packets.remove(oldest);
            self.order.pop_front();
        }
    }
}

impl Packet {
    fn put(&mut self, at: usize, bytes: &[u8], is_last: bool) {
        let end = at + bytes.len();
        let overlaps = |(other, kept): &(usize, Vec<u8>)| at < other + kept.len() && *other < end;
        let is_beyond = self.end.is_some_and(|known| end > known || (is_last && end != known));
        if end > LONGEST || self.parts.len() >= PARTS || is_beyond || self.parts.iter().any(overlaps) {
            self.is_spoilt = true;
            self.parts.clear();
            return;
        }
        if is_last {
            self.end = Some(end);
        }
        self.parts.push((at, bytes.to_vec()));
    }

    /// All its bytes, if they are there.
    fn whole(&mut self) -> Option<Vec<u8>> {
        let end = self.end?;
        if self.parts.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() != end {
            return None;
        }
        self.parts.sort_unstable_by_key(|(at, _)| *at);
        Some(self.parts.iter().flat_map(|(_, bytes)| bytes).copied().collect())
    }
}

/// The segment that a whole packet carries, if the host takes it.
fn segment_of(first: &Segment, bytes: &[u8]) -> Option<(Segment, Vec<u8>)> {
    let head = usize::from(bytes.get(12)? >> 4) * 4;
    if head < TCP_LEAST || !is_summed(first, bytes) {
        return None;
    }
    let carried = bytes.get(head..)?.to_vec();
    let length = u32::try_from(carried.len()).ok()?;
    let whole = Segment { part: WHOLE, fragment: 0, length, offset: 0, bytes: length, ..*first };
    Some((whole, carried))
}

/// Whether TCP's checksum over all of it is right.
fn is_summed(first: &Segment, bytes: &[u8]) -> bool {
    let words = |bytes: &[u8]| -> u64 {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let last = rest.first().map_or(0, |&byte| u64::from(byte) << 8);
        pairs.iter().map(|&pair| u64::from(u16::from_be_bytes(pair))).sum::<u64>() + last
    };
    let addresses = [first.source(), first.destination()].map(|address| match address.v4() {
        Some(v4) => words(&v4.to_be_bytes()),
        None => words(&address.octets()),
    });
    let mut sum = words(bytes) + addresses[0] + addresses[1] + u64::from(TCP_PROTOCOL) + bytes.len() as u64;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

#[cfg(test)]
mod tests {
    use skyshield_common::tap::LATER;

    use super::*;
    use crate::clock;

    /// A TCP segment with this to carry, and a checksum that is right.
    fn segment(carried: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0_u8; TCP_LEAST];
        bytes[12] = 0x50;
        bytes.extend(carried);
        let spare = (0..=u16::MAX).find(|sum| {
            bytes[16..18].copy_from_slice(&sum.to_be_bytes());
            is_summed(&about(0, false, 0), &bytes)
        });
        bytes[16..18].copy_from_slice(&spare.unwrap().to_be_bytes());
        bytes
    }

    fn about(at: usize, more: bool, bytes: usize) -> Segment {
        let fragment = u32::try_from(at).unwrap() | u32::from(more);
        let bytes = u32::try_from(bytes).unwrap();
        let (source, destination) = (Address::from_v4(0xcb00_7107), Address::from_v4(0xc000_0201));
        Segment {
            source_high: source.high,
            source_low: source.low,
            destination_high: destination.high,
            destination_low: destination.low,
            fragment_id: 7,
            fragment,
            length: bytes,
            bytes,
            part: if fragment == 1 { FIRST } else { LATER },
            ..Segment::default()
        }
    }

    /// What comes of these parts (from, to, of which bytes).
    fn put_together(fragments: &mut Fragments, parts: &[(usize, usize, &[u8])]) -> Option<Vec<u8>> {
        let mut whole = None;
        for &(from, to, bytes) in parts {
            let part = about(from, to < bytes.len(), to - from);
            whole = whole.or(fragments.take(&part, &bytes[from..to], clock::now()));
        }
        whole.map(|(segment, carried)| {
            assert_eq!((segment.part, segment.length as usize), (WHOLE, carried.len()));
            carried
        })
    }

    #[test]
    fn parts_are_put_together_in_any_order() {
        let bytes = segment(&[b'x'; 60]);
        for parts in
            [[(0, 32), (32, 64), (64, 80)], [(64, 80), (0, 32), (32, 64)], [(32, 64), (64, 80), (0, 32)]]
        {
            let mut fragments = Fragments::default();
            let parts = parts.map(|(from, to)| (from, to, &bytes[..]));
            assert_eq!(put_together(&mut fragments, &parts), Some(vec![b'x'; 60]));
            assert!(fragments.packets.is_empty() && fragments.order.is_empty());
        }
    }

    #[test]
    fn parts_that_overlap_undo_the_packet() {
        let bytes = segment(&[b'x'; 60]);
        let parts = [(0, 32, &bytes[..]), (24, 64, &bytes[..]), (32, 64, &bytes[..]), (64, 80, &bytes[..])];
        assert_eq!(put_together(&mut Fragments::default(), &parts), None);
    }

    #[test]
    fn a_part_that_somebody_else_has_sent_does_not_pass_for_one() {
        let (bytes, mut other) = (segment(&[b'x'; 60]), segment(&[b'x'; 60]));
        other[70] = b'y';
        let mut fragments = Fragments::default();
        assert_eq!(put_together(&mut fragments, &[(0, 64, &bytes[..]), (64, 80, &other[..])]), None);
        assert_eq!(fragments.given_up, 1);
    }

    #[test]
    fn what_is_never_whole_is_given_up_for_what_is_new() {
        let bytes = segment(&[b'x'; 60]);
        let mut fragments = Fragments::default();
        for id in 0..1_000 {
            let part = Segment { fragment_id: id, ..about(0, true, 32) };
            assert_eq!(fragments.take(&part, &bytes[..32], clock::now()), None);
        }
        assert!(fragments.packets.len() <= PACKETS && fragments.order.len() <= PACKETS);
        assert_eq!(fragments.given_up, 1_000 - PACKETS as u64);
    }
}
