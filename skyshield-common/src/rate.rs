//! The token bucket, as a generic cell rate algorithm: one number per source.
//!
//! A cell holds the *theoretical arrival time*: when the source's next packet would be due if it
//! kept exactly to its rate. A packet is admitted as long as that time is no further ahead than the
//! burst allows. One 64-bit number means one compare-and-swap, hence exact under any number of CPUs.

/// The longest run ahead: a day.
pub const MAX_TOLERANCE_NS: u64 = 86_400 * NS_PER_SEC;
const NS_PER_SEC: u64 = 1_000_000_000;
/// Units of the cells' clock in a second.
pub const UNITS_PER_SEC: u64 = NS_PER_SEC >> UNIT_SHIFT;

/// Admits or refuses one packet at `now`: the cell's new time, or `None` if it is over.
///
/// `tat` far further ahead than `tolerance` cannot come from these parameters (the limit was changed,
/// or the cell is another clock's) and counts as a fresh cell: it would lock its source out until the
/// clock caught up. A little further ahead it may well be, by what another CPU's clock is ahead of
/// this one's: to call that fresh would give the burst away again at every tick.
#[inline]
pub const fn admit(tat: u64, now: u64, interval: u64, tolerance: u64) -> Option<u64> {
    // `tat` may lie behind `now`, and `now` behind another CPU's: never subtract unguarded. The sums
    // do not wrap: of what is in units no part has more than 52 bits, and what lies behind is negative.
    let ahead = tat.wrapping_sub(now).cast_signed();
    let ahead = if ahead > 0 { ahead.cast_unsigned() } else { 0 };
    let due = ahead + interval;
    if due <= tolerance {
        return Some(now + due);
    }
    let is_fresh = ahead > tolerance * 2 + interval + UNITS_PER_SEC;
    if is_fresh && interval <= tolerance { Some(now + interval) } else { None }
}

/// What is said of a source's next packet by a look at where its cell is first looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due(u64);

impl Due {
    /// Nothing: the cell is not there.
    pub const UNKNOWN: Self = Self(0);
    /// The packet is over the rate.
    pub const OVER: Self = Self(u64::MAX);
    /// There is no rate.
    pub const UNLIMITED: Self = Self(u64::MAX - 1);

    /// It is within, and this is the cell's new time.
    #[inline]
    pub const fn at(time: u64) -> Self {
        Self(time)
    }

    /// The cell's new time, if the packet is within the rate.
    #[inline]
    pub const fn time(self) -> Option<u64> {
        match self {
            Self::UNKNOWN | Self::OVER | Self::UNLIMITED => None,
            Self(time) => Some(time),
        }
    }
}

/// Cells of a bucket.
pub const CELLS: usize = 8;

/// The cells that a source may have, one line of the processor's cache.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket(pub [u64; CELLS]);

/// Buckets in front of all others, a quarter of a megabyte: small enough for a processor to keep near. A source has
/// its cell in one of them, or, where that is full, in one of those behind.
pub const FRONT: u32 = 1 << 12;
/// Cells of a bucket in front. Its other words are none: two of [`clearance`](crate::clearance)s, and one that says
/// until when a source may have its cell elsewhere than where it is looked for first: afterwards nobody owes anything
/// there.
pub const FRONT_CELLS: usize = CELLS - 3;
/// Where the clearances are, the one that was given last before the other.
pub const CLEARED: [usize; 2] = [FRONT_CELLS, FRONT_CELLS + 1];
/// The word of those that have their cell in front all the same, or behind: the latest of their times, with
/// [`IS_BEHIND`] for a tag where any may be behind.
pub const ELSEWHERE: usize = FRONT_CELLS + 2;
/// See [`ELSEWHERE`].
pub const IS_BEHIND: u64 = 1;

/// The bucket in front of a source with this hash.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "masked")]
pub const fn front(hash: u64) -> u32 {
    hash as u32 & (FRONT - 1)
}

/// The first of its two buckets behind, of `last` + 2 in all. They lie side by side: few sources find both full.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "masked")]
pub const fn behind(hash: u64, last: u64) -> u32 {
    FRONT + ((hash >> FRONT.trailing_zeros()) & last) as u32
}

/// Cells of both.
pub const BEHIND_CELLS: usize = 2 * CELLS;

/// The cell in front at which a source is looked for first, one of four.
#[inline]
pub const fn home(hash: u64) -> usize {
    (hash >> (TAG_SHIFT - 2) & 3) as usize
}

/// Cells count in units of 2^4 ns: 48 bits of them wrap after 52 days, at which a source once gets
/// a burst it has not earned.
pub const UNIT_SHIFT: u32 = 4;
const TAG_SHIFT: u32 = 48;
const TIME_MASK: u64 = (1 << TAG_SHIFT) - 1;

/// A time in a cell's units.
#[inline]
pub const fn units(ns: u64) -> u64 {
    ns >> UNIT_SHIFT & TIME_MASK
}

/// Whose a cell is, in short, and when its next packet is due.
#[inline]
pub const fn cell(tag: u64, tat: u64) -> u64 {
    tag << TAG_SHIFT | tat & TIME_MASK
}

/// The tag of a cell, or of a hash.
#[inline]
pub const fn tag(cell: u64) -> u64 {
    cell >> TAG_SHIFT
}

/// Whether a cell is that of the source with this hash.
#[inline]
pub const fn is_of(cell: u64, hash: u64) -> bool {
    (cell ^ hash) >> TAG_SHIFT == 0
}

/// When the next packet of a cell's source is due.
#[inline]
pub const fn tat(cell: u64) -> u64 {
    cell & TIME_MASK
}

/// Whether a cell may be taken from its source: it has its whole burst to spend, so nothing is lost
/// by forgetting it. A time far ahead is from before the units wrapped.
#[inline]
pub const fn is_idle(cell: u64, now: u64) -> bool {
    let tat = tat(cell);
    // One comparison for both: at or behind `now`, the difference less one wraps.
    tat.wrapping_sub(now).wrapping_sub(1) >= MAX_TOLERANCE_NS >> (UNIT_SHIFT - 1)
}

/// How far ahead a cell may be that is taken all the same, by a source that was never seen: by one packet, where
/// sources may send 8,000 a second or more. A clock of jiffies does not see as short a time pass, and in one of them a
/// flood would fill the buckets in front with sources that owe a packet each.
///
/// Who takes a cell so owes what is owed there, too: the next one is not free, however few take turns. Whose cell it
/// was is forgiven a packet, and a cell is taken so once in a jiffy.
#[inline]
pub const fn forgiven(interval: u64) -> u64 {
    if interval <= FORGIVEN { interval } else { 0 }
}

const FORGIVEN: u64 = UNITS_PER_SEC / 8_000;

/// How long ago the time of a cell was; what is ahead of `now` was long ago.
#[inline]
pub const fn age(cell: u64, now: u64) -> u64 {
    now.wrapping_sub(tat(cell)) & TIME_MASK
}

/// A flow that was silent for so long is a new one: half a minute.
pub const FLOW_LASTS: u64 = units(30 * NS_PER_SEC);

/// The hash of a source for one of its rates: the bucket is in its lower bits, the tag in its upper.
#[inline]
pub const fn hash(source: u64, rate: u64, seed: u64) -> u64 {
    crate::host::mix(source ^ seed ^ rate << 56)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Rate;

    /// How many of `arrivals` (times in ns, ascending) pass.
    fn admitted(arrivals: impl Iterator<Item = u64>, interval: u64, tolerance: u64) -> u64 {
        let mut tat = 0;
        let mut passed = 0;
        for now in arrivals {
            if let Some(next) = admit(tat, now, interval, tolerance) {
                tat = next;
                passed += 1;
            }
        }
        passed
    }

    proptest! {
        #[test]
        fn it_is_admitted_as_it_is_defined(
            now in 0_u64..1 << 48,
            ahead in prop_oneof![0_u64..1 << 20, 0_u64..1 << 47],
            behind in 0_u64..1 << 47,
            (interval, tolerance) in (0_u64..1 << 18, 0_u64..1 << 19),
        ) {
            for tat in [(now + ahead) & TIME_MASK, now.saturating_sub(behind), 0] {
                let ahead = tat.saturating_sub(now);
                let most = tolerance * 2 + interval + UNITS_PER_SEC;
                let due = if ahead > most { 0 } else { ahead } + interval;
                let defined = (due <= tolerance).then(|| now + due);
                prop_assert_eq!(admit(tat, now, interval, tolerance), defined, "{} at {}", tat, now);
            }
        }
    }

    #[test]
    fn a_flood_gets_its_burst_and_then_its_rate() {
        let Rate { interval, tolerance } = Rate::per_sec(1_000, 50, 0);
        // Ten seconds at a hundred times the rate.
        let flood = (0..1_000_000_u64).map(|n| units(5_000_000_000 + n * 10_000));
        assert!(admitted(flood, interval, tolerance).abs_diff(50 + 10_000) <= 1);
    }

    #[test]
    fn a_source_at_its_rate_loses_nothing() {
        let Rate { interval, tolerance } = Rate::per_sec(1_000, 1, 0);
        let polite = (0..10_000_u64).map(|n| n * interval);
        assert_eq!(admitted(polite, interval, tolerance), 10_000);
    }

    #[test]
    fn a_clock_of_jiffies_takes_nothing_from_a_source_at_its_rate() {
        const JIFFY_NS: u64 = 4_000_000;
        let Rate { interval, tolerance } = Rate::per_sec(1_000, 1, JIFFY_NS);
        let polite = (0..10_000_u64).map(|n| units(n * 1_000_000 / JIFFY_NS * JIFFY_NS));
        assert_eq!(admitted(polite, interval, tolerance), 10_000);
    }

    #[test]
    fn a_cell_from_the_future_is_a_fresh_cell() {
        let (interval, tolerance) = (100, 1_000);
        assert_eq!(admit(TIME_MASK, 5_000, interval, tolerance), Some(5_100));
        let most = 5_000 + 2 * tolerance + interval + UNITS_PER_SEC;
        assert_eq!(admit(most + 1, 5_000, interval, tolerance), Some(5_100));
        assert_eq!(admit(most, 5_000, interval, tolerance), None);
    }

    #[test]
    fn no_limit_has_no_interval() {
        assert_eq!(Rate::per_sec(0, 7, 1 << 20), Rate::default());
        assert_eq!(Rate::per_sec(u64::MAX, 1, 0), Rate { interval: 1, tolerance: 1 });
        assert_eq!(Rate::per_sec(1, u64::MAX, 0).tolerance, units(MAX_TOLERANCE_NS));
        // Ten million bytes a second: a thousand packets of ten thousand bytes.
        assert_eq!((Rate::bytes_per_sec(10_000_000, 1 << 20, 0).interval * 10_000) >> 10, 62_500);
    }

    #[test]
    fn a_cell_is_its_source_s_until_it_has_its_whole_burst_again() {
        let own = cell(7, 5_000);
        assert_eq!((tag(own), tat(own)), (7, 5_000));
        assert!(!is_idle(own, 4_999) && is_idle(own, 5_000));
        assert!(is_idle(cell(7, TIME_MASK), 3), "from before the units wrapped");
        assert!(is_idle(0, 0));
    }

    #[test]
    fn who_sends_fast_is_forgiven_a_packet_and_nobody_more() {
        let interval = |per_sec| Rate::per_sec(per_sec, 1, 0).interval;
        assert_eq!([7_999, 1_000, 1, 0].map(interval).map(forgiven), [0; 4]);
        for per_sec in [8_000, 10_000, u64::MAX] {
            let interval = interval(per_sec);
            let owes =
                |packets: u64| !is_idle(cell(7, 5_000 + packets * interval), 5_000 + forgiven(interval));
            assert_eq!([1, 2].map(owes), [false, true], "{per_sec} a second");
        }
    }

    #[test]
    fn a_flow_lasts_half_a_minute() {
        let seen = cell(7, units(5 * NS_PER_SEC));
        assert!(age(seen, units(34 * NS_PER_SEC)) < FLOW_LASTS);
        assert!(age(seen, units(35 * NS_PER_SEC)) >= FLOW_LASTS);
        assert!(age(seen, units(4 * NS_PER_SEC)) >= FLOW_LASTS, "from before the units wrapped");
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate(
            gaps in prop::collection::vec(0_u64..5_000, 1..400),
            interval in 1_u64..2_000,
            burst in 1_u64..50,
        ) {
            let arrivals: std::vec::Vec<u64> = gaps.iter().scan(1_000_000, |now, gap| {
                *now += gap;
                Some(*now)
            }).collect();
            let span = arrivals[arrivals.len() - 1] - arrivals[0];
            let passed = admitted(arrivals.iter().copied(), interval, interval * burst);
            prop_assert!(passed <= burst + span / interval + 1);
            prop_assert!(passed >= 1);
        }

        #[test]
        fn any_bytes_are_a_cell(cell: u64, now: u64, per_sec: u64, burst: u64, jiffy_ns in 0_u64..1 << 30) {
            let (tat, now) = (tat(cell), units(now));
            let Rate { interval, tolerance } = Rate::per_sec(per_sec, burst, jiffy_ns);
            if let Some(next) = admit(tat, now, interval, tolerance) {
                prop_assert!(next >= now);
                prop_assert!(next - now <= tolerance);
            }
        }

        #[test]
        fn a_clock_read_late_gives_nothing_away(now in 1_000_000_u64..2_000_000, late in 0_u64..1_000_000) {
            // Another CPU's later reading is already in the cell: no refill by a wrapped subtraction.
            let (interval, tolerance) = (1_000, 10_000);
            let full = now + tolerance;
            prop_assert_eq!(admit(full, now - late, interval, tolerance), None);
        }
    }
}
