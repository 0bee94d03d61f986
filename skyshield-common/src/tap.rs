//! What the tap copies: TCP segments to chosen ports, each with what the host's own socket says of it.

use crate::{Address, host};

/// The head of one record, before the bytes it carries.
///
/// A record is of bytes that a socket of this host has room for at that moment, or waits for the rest
/// of: whoever has not seen the socket's answers can no more make one than he can make the socket take
/// his bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// When, in `CLOCK_BOOTTIME` nanoseconds.
    pub at_ns: u64,
    /// The upper half of the source's [`Address`].
    pub source_high: u64,
    /// The lower half.
    pub source_low: u64,
    /// The upper half of the destination's.
    pub destination_high: u64,
    /// The lower half.
    pub destination_low: u64,
    /// The number of the segment's first byte; of a fragment that of its whole segment.
    pub seq: u32,
    /// The number of the first byte that the connection has carried to the host.
    pub origin: u32,
    /// The number of the byte that the socket waits for.
    pub received: u32,
    /// Bytes of payload: of a whole segment what TCP carries, of a fragment what IP does.
    pub length: u32,
    /// How many bytes of that lie before what this record holds.
    pub offset: u32,
    /// How many bytes this record holds.
    pub bytes: u32,
    /// What the fragments of one packet have in common.
    pub fragment_id: u32,
    /// Where in its packet a fragment lies, in bytes; the last bit says that more follow.
    pub fragment: u32,
    /// The interface it came in by.
    pub ifindex: u32,
    /// TCP's port there.
    pub source_port: u16,
    /// TCP's port here.
    pub destination_port: u16,
    /// TCP's urgent pointer, where it is valid; 0 where it is not.
    pub urgent: u16,
    /// TCP's flags.
    pub flags: u8,
    /// [`WHOLE`], [`FIRST`] or [`LATER`].
    pub part: u8,
    #[doc(hidden)]
    pub reserved: u32,
}

/// [`Segment::part`]: a segment in one packet. What it holds begins behind TCP's header.
pub const WHOLE: u8 = 0;
/// [`Segment::part`]: the first fragment of one. What it holds begins with TCP's header.
pub const FIRST: u8 = 1;
/// [`Segment::part`]: a later fragment, whose connection only the first names.
pub const LATER: u8 = 2;

/// TCP's FIN.
pub const FIN: u8 = 0x01;
/// TCP's RST.
pub const RST: u8 = 0x04;

/// What one record holds of a segment at the most; a longer one is copied in several.
pub const PIECE_BYTES: usize = 0x3fff;
/// Records of one segment at the most: of 64 KiB, which no IP packet is longer than.
pub const MAX_PIECES: u32 = 5;

impl Segment {
    /// Where it comes from.
    pub const fn source(&self) -> Address {
        Address { high: self.source_high, low: self.source_low }
    }

    /// Where it goes to.
    pub const fn destination(&self) -> Address {
        Address { high: self.destination_high, low: self.destination_low }
    }

    /// Reads a record: its head, and the bytes it holds. `None` where it is not as long as it says.
    pub fn from_bytes(record: &[u8]) -> Option<(Self, &[u8])> {
        let (head, held) = record.split_at_checked(size_of::<Self>())?;
        // SAFETY: the length is right, `Segment` is `Plain`, and the read asks for no alignment.
        #[expect(unsafe_code, reason = "bytes of our own program's making")]
        let head = unsafe { head.as_ptr().cast::<Self>().read_unaligned() };
        // The kernel's records are as long as they say, or rounded up.
        Some((head, held.get(..head.bytes as usize)?))
    }
}

/// What the program is told of the tap. All zero: nothing is copied.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tapping {
    /// Whether anything is copied.
    pub is_on: u64,
    /// Bytes of one connection that are copied before its reader has taken any of them.
    pub flow_bytes: u64,
    /// An eighth of the ring, in bytes: where half of it is full, half of the connections are copied;
    /// from three quarters a quarter of them, from seven eighths an eighth.
    pub eighth: u64,
    /// Makes unforeseeable which those are.
    pub seed: u64,
    /// The last of the [`Flow`]s.
    pub flows_mask: u64,
}

impl Tapping {
    /// Whether a connection is copied while so many bytes of the ring are taken.
    #[inline]
    pub const fn spares(&self, hash: u64, taken: u64) -> bool {
        let drawn = hash >> 61;
        if taken < self.eighth * 4 {
            true
        } else if taken < self.eighth * 6 {
            drawn.is_multiple_of(2)
        } else if taken < self.eighth * 7 {
            drawn.is_multiple_of(4)
        } else {
            drawn == 0
        }
    }
}

/// What is remembered of a connection while it is copied: a cell that others of the same place may take
/// over, at the price of being copied where they need not be.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Written by the reader: the connection's [`tag`], and the number before which nothing more of it
    /// is wanted.
    pub unwanted: u64,
    /// Written by the program, and zeroed by the reader: the tag, and bytes copied since.
    pub copied: u64,
}

/// Tells connections of one place apart.
#[inline]
pub const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A word of a [`Flow`].
#[inline]
pub const fn word(hash: u64, number: u32) -> u64 {
    (tag(hash) as u64) << 32 | number as u64
}

/// The number in a word of a [`Flow`], if it is this connection's.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "half of a word")]
pub const fn number(word: u64, hash: u64) -> Option<u32> {
    if (word >> 32) as u32 == tag(hash) && word != 0 { Some(word as u32) } else { None }
}

/// Whether `one` lies before `other`, as TCP counts.
#[inline]
pub const fn is_before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other) >> 31 == 1
}

/// A connection in 64 bits: its place among the [`Flow`]s in the lower, its [`tag`] in the upper.
#[inline]
pub const fn hash(source: Address, destination_low: u64, ports: u32, seed: u64) -> u64 {
    let one = host::mix(source.low ^ source.high.rotate_left(17) ^ seed);
    host::mix(one ^ destination_low.rotate_left(32) ^ ports as u64)
}

/// What became of the segments to tapped ports that carry something. Each is in exactly one row.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapCounter {
    /// In [`Fate`]'s order: records or segments.
    pub count: [u64; FATES],
    /// Their bytes of payload.
    pub bytes: [u64; FATES],
}

/// How many [`Fate`]s there are.
pub const FATES: usize = 7;

/// What became of a segment.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was copied.
    Copied = 0,
    /// The ring was full.
    Lost = 1,
    /// The ring was filling, and its connection was not among those drawn.
    Sampled = 2,
    /// The reader wanted no more of it.
    Unwanted = 3,
    /// Its connection had as much in the ring as one may have.
    OverFlow = 4,
    /// No socket of this host has the connection.
    NoSocket = 5,
    /// It acknowledges, or follows, what the socket has not sent or received.
    Unproven = 6,
}

impl Fate {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; FATES] = [
        Self::Copied,
        Self::Lost,
        Self::Sampled,
        Self::Unwanted,
        Self::OverFlow,
        Self::NoSocket,
        Self::Unproven,
    ];

    /// Its name in the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Lost => "lost",
            Self::Sampled => "sampled_out",
            Self::Unwanted => "unwanted",
            Self::OverFlow => "over_flow",
            Self::NoSocket => "no_socket",
            Self::Unproven => "unproven",
        }
    }
}

/// Where the kernel's structures hold what the program reads of a socket, in bytes. In the order of
/// [`SOCKET_FIELDS`].
pub type SocketFields = [u32; 6];

/// What [`SocketFields`] are of: structure and member.
pub const SOCKET_FIELDS: [(&str, &str); 6] = [
    ("tcp_sock", "rcv_nxt"),
    ("tcp_sock", "snd_nxt"),
    ("tcp_sock", "snd_una"),
    ("tcp_sock", "bytes_received"),
    ("tcp_request_sock", "rcv_isn"),
    ("tcp_request_sock", "snt_isn"),
];

/// How far an acknowledgement may lie behind what has been acknowledged before, and a segment's first
/// byte around what the socket waits for. Whoever does not see the connection has to guess both.
pub const ACK_BEHIND: u32 = 1 << 16;
/// See [`ACK_BEHIND`].
pub const SEQ_AROUND: u32 = 1 << 21;

/// Whether a segment of `seq`, which acknowledges `ack`, can be of the connection whose socket waits
/// for `received`, has sent up to `sent`, and knows the peer to have up to `unacked`.
#[inline]
pub const fn is_proven(seq: u32, ack: u32, received: u32, unacked: u32, sent: u32) -> bool {
    let acked = ack.wrapping_sub(unacked.wrapping_sub(ACK_BEHIND));
    let most = sent.wrapping_sub(unacked).wrapping_add(ACK_BEHIND);
    acked <= most && seq.wrapping_sub(received.wrapping_sub(SEQ_AROUND)) <= 2 * SEQ_AROUND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_seen_the_sockets_numbers_is_believed() {
        let (received, unacked, sent) = (u32::MAX - 5, 1_000, 9_000);
        assert!(is_proven(received, 9_000, received, unacked, sent));
        assert!(is_proven(received.wrapping_add(1_448), 1_000, received, unacked, sent));
        assert!(is_proven(received, 500, received, unacked, sent), "an old acknowledgement");
        assert!(!is_proven(received, 9_001, received, unacked, sent), "of what was never sent");
        assert!(!is_proven(received, 1_000_u32.wrapping_sub(ACK_BEHIND + 1), received, unacked, sent));
        assert!(!is_proven(received.wrapping_add(SEQ_AROUND + 1), 9_000, received, unacked, sent));
        let guesses = (0..1_000_u32).map(|n| n.wrapping_mul(2_654_435_761));
        let lucky = guesses.filter(|&ack| is_proven(received, ack, received, unacked, sent)).count();
        assert!(lucky <= 1, "{lucky}");
    }

    #[test]
    fn a_flow_is_told_from_another_of_its_place() {
        let one = hash(Address::from_v4(1), 2, 3, 4);
        let other = hash(Address::from_v4(1), 2, 4, 4);
        assert_eq!(number(word(one, 77), one), Some(77));
        assert_eq!(number(word(one, 77), other), None);
        assert_eq!(number(0, one), None);
        assert!(is_before(u32::MAX, 1) && !is_before(1, u32::MAX) && !is_before(1, 1));
    }

    #[test]
    fn the_fuller_the_ring_the_fewer_connections_are_copied() {
        let tapping = Tapping { eighth: 100, ..Tapping::default() };
        let share = |taken| (0..8_u64).filter(|draw| tapping.spares(draw << 61, taken)).count();
        assert_eq!([0, 399, 400, 599, 600, 700, 800].map(share), [8, 8, 4, 4, 2, 1, 1]);
    }

    #[test]
    fn a_record_that_is_cut_short_is_not_read() {
        let mut record = [0_u8; size_of::<Segment>() + 3];
        record[core::mem::offset_of!(Segment, bytes)] = 3;
        assert!(Segment::from_bytes(&record).is_some());
        assert_eq!(Segment::from_bytes(&record[..record.len() - 1]), None);
        assert_eq!(Segment::from_bytes(&[]), None);
    }
}
