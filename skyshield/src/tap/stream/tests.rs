use proptest::prelude::*;

use super::*;

const ROOM: Room = Room { bytes: 1_000, segments: 16 };

/// A stream, and what was read of it; gaps are marked `_`, a new reading `<`.
#[derive(Default)]
struct Bench {
    stream: Stream,
    read: Vec<u8>,
}

impl Bench {
    fn segment(&mut self, start: u64, bytes: &str, received: u64) -> &mut Self {
        let read = &mut self.read;
        let mut note = |piece| match piece {
            Piece::Bytes(_, bytes) => read.extend(bytes),
            Piece::Gap(count) => read.extend(std::iter::repeat_n(b'_', usize::try_from(count).unwrap())),
            Piece::Again(_) => read.push(b'<'),
        };
        self.stream.received(received, &mut note);
        self.stream.take(start, bytes.as_bytes(), received, ROOM, &mut note);
        self
    }

    fn expect(&mut self, read: &str, odds: Odds) {
        assert_eq!(String::from_utf8_lossy(&self.read), read);
        assert_eq!(self.stream.take_odds(), odds);
    }
}

#[test]
fn what_comes_before_its_turn_waits_for_it() {
    let mut bench = Bench::default();
    bench.segment(3, "def", 0).segment(6, "g", 0).segment(0, "abc", 0);
    bench.expect("abcdefg", Odds { reordered: 2, ..Odds::default() });
    assert_eq!(bench.stream.held(), 0);
}

#[test]
fn what_comes_again_is_read_once() {
    let mut bench = Bench::default();
    bench.segment(0, "abc", 0).segment(0, "abc", 3).segment(0, "abcde", 3).segment(0, "abc", 0);
    bench.expect("abcde", Odds { repeated: 2, overlapping: 1, ..Odds::default() });
}

#[test]
fn what_the_host_has_and_never_came_is_a_gap() {
    let mut bench = Bench::default();
    bench.segment(0, "ab", 0).segment(5, "fg", 2).segment(7, "h", 7);
    bench.expect("ab___fgh", Odds { reordered: 1, missing: 3, ..Odds::default() });
}

#[test]
fn the_first_segment_wins_unless_a_later_one_covers_it() {
    let mut bench = Bench::default();
    // Part of what comes later was there before.
    bench.segment(2, "cdef", 0).segment(4, "EFGH", 0).segment(0, "ab", 0);
    bench.expect("abcdefGH", Odds { reordered: 2, contradicting: 1, ..Odds::default() });
    // What begins as early and reaches further takes the place, as in the kernel's own queue.
    let mut bench = Bench::default();
    bench.segment(2, "cd", 0).segment(2, "CDEF", 0).segment(0, "ab", 0);
    bench.expect("abCDEF", Odds { reordered: 2, contradicting: 1, ..Odds::default() });
    // What begins earlier is read first.
    let mut bench = Bench::default();
    bench.segment(4, "efgh", 0).segment(2, "CDEF", 0).segment(0, "ab", 0);
    bench.expect("abCDEFgh", Odds { reordered: 2, contradicting: 1, ..Odds::default() });
    // What is all there is not taken again.
    let mut bench = Bench::default();
    bench.segment(2, "cdef", 0).segment(3, "DE", 0).segment(0, "ab", 0);
    bench.expect("abcdef", Odds { reordered: 2, repeated: 1, contradicting: 1, ..Odds::default() });
}

#[test]
fn what_the_host_threw_away_is_read_anew() {
    let mut bench = Bench::default();
    // A segment with a wrong checksum, say: the host still waits for its first byte.
    bench.segment(0, "decoy!", 0).segment(0, "attack", 0);
    bench.expect("decoy!<attack", Odds { contradicting: 1, ..Odds::default() });
    // The same again is what a client sends that has not heard of it yet.
    let mut bench = Bench::default();
    bench.segment(0, "honest", 0).segment(0, "honest", 0);
    bench.expect("honest", Odds { repeated: 1, ..Odds::default() });
}

#[test]
fn room_is_bounded_and_what_has_none_is_counted() {
    let mut bench = Bench::default();
    for at in 1..=100 {
        bench.segment(at * 10, "x", 0);
    }
    assert_eq!(bench.stream.take_odds().without_room, 100 - 16);
    let mut bench = Bench::default();
    for at in 1..=10 {
        bench.segment(at * 1_000, &"x".repeat(300), 0);
    }
    assert!(bench.stream.held() <= ROOM.bytes);
    assert_eq!(bench.stream.take_odds().without_room, 7);
}

proptest! {
    /// Whatever the order and however often: what is consistent is read as it was sent.
    #[test]
    fn any_order_of_overlapping_pieces_gives_the_stream(
        text in prop::collection::vec(any::<u8>(), 1..200),
        cuts in prop::collection::vec((0_usize..200, 1_usize..60), 0..40),
        seed in any::<u64>(),
    ) {
        let mut pieces: Vec<(usize, usize)> =
            cuts.into_iter().map(|(at, len)| (at.min(text.len() - 1), len)).collect();
        // All of it comes at least once.
        pieces.extend((0..text.len()).step_by(13).map(|at| (at, 13)));
        let mut order = seed;
        pieces.sort_by_cached_key(|piece| {
            order = order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (order >> 33, *piece)
        });
        let room = Room { bytes: 100_000, segments: 1_000 };
        let (mut stream, mut read) = (Stream::default(), Vec::new());
        for (at, len) in pieces {
            let bytes = &text[at..(at + len).min(text.len())];
            stream.take(at as u64, bytes, stream.next(), room, &mut |piece| match piece {
                Piece::Bytes(_, bytes) => read.extend(bytes),
                Piece::Gap(_) | Piece::Again(_) => panic!("{piece:?}"),
            });
        }
        prop_assert_eq!(read, text);
        prop_assert_eq!((stream.held(), stream.take_odds().contradicting), (0, 0));
    }

    /// Whatever comes: what is read goes on from where it was, and no more is kept than there is room for.
    #[test]
    fn nothing_is_read_twice_or_kept_without_room(
        segments in prop::collection::vec((0_u64..400, prop::collection::vec(any::<u8>(), 0..50), 0_u64..400), 0..60),
    ) {
        let mut stream = Stream::default();
        let mut at = 0_u64;
        for (start, bytes, received) in segments {
            let mut again = false;
            let mut note = |piece: Piece| match piece {
                Piece::Bytes(_, bytes) => at += bytes.len() as u64,
                Piece::Gap(count) => at += count,
                Piece::Again(_) => again = true,
            };
            stream.received(received, &mut note);
            stream.take(start, &bytes, received, ROOM, &mut note);
            if again {
                at = stream.next();
            }
            prop_assert_eq!(at, stream.next());
            prop_assert!(stream.held() <= ROOM.bytes && stream.ahead.len() <= ROOM.segments);
            prop_assert_eq!(stream.held(), stream.ahead.values().map(Vec::len).sum::<usize>());
        }
    }
}
