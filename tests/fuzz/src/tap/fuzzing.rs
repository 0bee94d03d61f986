//! Bytes as segments and fragments, and what must hold whatever they are.

use std::time::Instant;

use skyshield_common::tap::{FIRST, LATER, Segment};

use super::fragments::Fragments;
use super::stream::{Piece, Room, Stream};

const ROOM: Room = Room { bytes: 600, segments: 8 };

/// What an honest sender says at each place.
fn honest(place: u64) -> u8 {
    u8::try_from(place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).unwrap_or_default()
}

/// Each five bytes are a segment: where it begins, how long it is, what the host has, and whether it
/// lies. As long as none lies, what is read is what an honest sender says there; and whatever they do, no
/// more is kept than there is room for, and nothing is read out of its turn.
pub fn reassembly(bytes: &[u8]) {
    let mut stream = Stream::default();
    let (mut at, mut lied) = (0_u64, false);
    for words in bytes.chunks_exact(5) {
        let start = u64::from(u16::from_le_bytes([words[0], words[1]]) % 2_000);
        let lies = words[4] == 0xff;
        lied |= lies;
        let said: Vec<u8> = (start..start + u64::from(words[2]))
            .map(|place| if lies { !honest(place) } else { honest(place) })
            .collect();
        let received = at.saturating_add_signed(i64::from(words[3].cast_signed()));
        let mut again = false;
        let mut note = |piece| match piece {
            Piece::Bytes(from, read) => {
                assert!(again || from == at, "read at {from}, not at {at}");
                at = from;
                for byte in read {
                    assert!(lied || byte == honest(at), "another byte at {at}");
                    at += 1;
                }
                again = false;
            }
            Piece::Gap(count) => at += count,
            Piece::Again(_) => again = true,
        };
        stream.received(received, &mut note);
        stream.take(start, &said, received, ROOM, &mut note);
        assert_eq!(at, stream.next());
        assert!(stream.held() <= ROOM.bytes, "{} bytes kept", stream.held());
    }
}

/// Each six bytes are a fragment: which packet, where in it, how long, and whether it is the last.
pub fn fragments(bytes: &[u8]) {
    let mut fragments = Fragments::default();
    let now = Instant::now();
    for words in bytes.chunks_exact(6) {
        let place = u32::from(u16::from_le_bytes([words[1], words[2]])) & 0xfff8 | u32::from(words[4] & 1);
        let held = vec![words[5]; words[3].into()];
        let length = u32::from(words[3]);
        let segment = Segment {
            fragment_id: u32::from(words[0] % 80),
            fragment: place,
            length,
            bytes: length,
            part: if place == 1 { FIRST } else { LATER },
            ..Segment::default()
        };
        if let Some((whole, carried)) = fragments.take(&segment, &held, now) {
            assert_eq!(whole.length as usize, carried.len());
        }
    }
}
