//! The token bucket, as a generic cell rate algorithm: one number per source.
//!
//! A cell holds the *theoretical arrival time*: when the source's next packet would be due if it
//! kept exactly to its rate. A packet is admitted as long as that time is no further ahead than the
//! burst allows. One 64-bit number means one compare-and-swap, hence exact under any number of CPUs.

/// The time between two packets of a source that keeps exactly to `packets_per_sec`, in ns.
/// 0 (no limit) for 0.
pub const fn interval_ns(packets_per_sec: u64) -> u64 {
    match NS_PER_SEC.checked_div(packets_per_sec) {
        None => 0,
        // Above 10^9 packets a second the clock no longer tells two packets apart.
        Some(0) => 1,
        Some(interval) => interval,
    }
}

/// How far ahead of the clock a source may run that has `burst` packets to spend at once, in ns.
pub const fn tolerance_ns(interval_ns: u64, burst: u64) -> u64 {
    // Bounded, so that no sum with a clock reading wraps.
    let tolerance = interval_ns.saturating_mul(burst);
    if tolerance > MAX_TOLERANCE_NS { MAX_TOLERANCE_NS } else { tolerance }
}

/// The longest run ahead: a day.
pub const MAX_TOLERANCE_NS: u64 = 86_400 * NS_PER_SEC;
const NS_PER_SEC: u64 = 1_000_000_000;

/// Admits or refuses one packet at `now`, in ns: the cell's new value, or `None` if it is over.
///
/// `tat` further ahead than `tolerance + interval` cannot come from these parameters (the limit was
/// changed, or the cell is another clock's) and counts as a fresh cell: it would lock its source out
/// until the clock caught up.
#[inline]
pub const fn admit(tat: u64, now: u64, interval: u64, tolerance: u64) -> Option<u64> {
    // `tat` may lie behind `now`, and `now` behind another CPU's: never subtract unguarded.
    let ahead = tat.saturating_sub(now);
    let start = if ahead > tolerance.saturating_add(interval) { 0 } else { ahead };
    let due = start.saturating_add(interval);
    if due > tolerance { None } else { Some(now.saturating_add(due)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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

    #[test]
    fn a_flood_gets_its_burst_and_then_its_rate() {
        let interval = interval_ns(1_000);
        let tolerance = tolerance_ns(interval, 50);
        // Ten seconds at a hundred times the rate.
        let flood = (0..1_000_000_u64).map(|n| 5_000_000_000 + n * 10_000);
        assert!(admitted(flood, interval, tolerance).abs_diff(50 + 10_000) <= 1);
    }

    #[test]
    fn a_source_at_its_rate_loses_nothing() {
        let interval = interval_ns(1_000);
        let polite = (0..10_000_u64).map(|n| n * interval);
        assert_eq!(admitted(polite, interval, tolerance_ns(interval, 1)), 10_000);
    }

    #[test]
    fn a_cell_from_the_future_is_a_fresh_cell() {
        let (interval, tolerance) = (100, 1_000);
        assert_eq!(admit(u64::MAX, 5_000, interval, tolerance), Some(5_100));
        assert_eq!(admit(6_101, 5_000, interval, tolerance), Some(5_100));
        assert_eq!(admit(6_100, 5_000, interval, tolerance), None);
    }

    #[test]
    fn no_limit_has_no_interval() {
        assert_eq!(interval_ns(0), 0);
        assert_eq!(interval_ns(u64::MAX), 1);
        assert_eq!(tolerance_ns(u64::MAX, u64::MAX), MAX_TOLERANCE_NS);
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
            let passed = admitted(arrivals.iter().copied(), interval, tolerance_ns(interval, burst));
            prop_assert!(passed <= burst + span / interval + 1);
            prop_assert!(passed >= 1);
        }

        #[test]
        fn any_bytes_are_a_cell(tat: u64, now: u64, interval: u64, tolerance: u64) {
            if let Some(next) = admit(tat, now, interval, tolerance) {
                prop_assert!(next >= now);
                prop_assert!(next - now <= tolerance);
            }
        }

        #[test]
        fn a_clock_read_late_gives_nothing_away(now in 1_000_000_u64..2_000_000, late in 0_u64..100_000) {
            // Another CPU's later reading is already in the cell: no refill by a wrapped subtraction.
            let (interval, tolerance) = (1_000, 10_000);
            let full = now + tolerance;
            prop_assert_eq!(admit(full, now - late.min(1_000), interval, tolerance), None);
        }
    }
}
