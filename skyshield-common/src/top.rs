//! Who sends most: a small table that a sample of all packets goes into, as it lies in
//! [`TOP`](crate::maps::TOP).

/// Sources of a bucket.
pub const WAYS: usize = 8;
/// Words of a source: its two halves, packets, packets dropped, bytes.
pub const WORDS: usize = 5;
/// Buckets of the table; fixed.
pub const BUCKETS: u32 = 512;
/// One packet in so many goes in, and counts for all of them.
pub const SAMPLE: u64 = 64;

/// What was seen of a source.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The source's upper half, as an [`Address`](crate::Address) has it.
    pub high: u64,
    /// Its lower half; a source of IPv6 is its /64, and has none.
    pub low: u64,
    /// Packets, about.
    pub packets: u64,
    /// Packets of it that were dropped, about.
    pub dropped: u64,
    /// Bytes, about.
    pub bytes: u64,
}

/// A bucket as it lies in the map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket(pub [Seen; WAYS]);

/// Whether a packet is of the sample, by how many its reason has counted. Spread by a product, or two
/// sources that take turns would be told apart by nothing but their turns.
#[inline]
pub const fn is_sampled(counted: u64) -> bool {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    counted.wrapping_mul(SPREAD) < u64::MAX / SAMPLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_so_many_is_sampled_whoever_takes_turns() {
        for sources in 1..=16_u64 {
            for source in 0..sources {
                let sampled = (0..1_000_000_u64).filter(|n| n % sources == source && is_sampled(*n)).count();
                let expected = 1_000_000 / sources / SAMPLE;
                let off = (sampled as u64).abs_diff(expected);
                assert!(off * 20 <= expected, "{sampled} of {expected} at {source} of {sources}");
            }
        }
    }
}
