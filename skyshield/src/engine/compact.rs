//! Numbers and moments in four-byte parts: what is kept by the million is no larger than what is in it.

use std::time::{Duration, Instant};

/// The moment that never comes.
pub(super) const FOREVER: i64 = i64::MAX;

/// `at` in nanoseconds after `epoch`; before it is below zero, and 292 years away is as far as it goes.
pub(super) fn nanos(at: Instant, epoch: Instant) -> i64 {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(FOREVER).min(FOREVER - 1);
    match at.checked_duration_since(epoch) {
        Some(after) => nanos(after),
        None => -nanos(epoch.saturating_duration_since(at)),
    }
}

/// The moment `nanos` after `epoch`; none for [`FOREVER`].
pub(super) fn instant(nanos: i64, epoch: Instant) -> Option<Instant> {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    match nanos {
        FOREVER => None,
        ..0 => epoch.checked_sub(distance),
        _ => epoch.checked_add(distance),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each half is meant")]
pub(super) const fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

pub(super) fn whole([low, high]: [u32; 2]) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

#[expect(clippy::cast_possible_truncation, reason = "each quarter is meant")]
pub(super) const fn quarters(number: u128) -> [u32; 4] {
    [number as u32, (number >> 32) as u32, (number >> 64) as u32, (number >> 96) as u32]
}

pub(super) fn joined(quarters: [u32; 4]) -> u128 {
    quarters.into_iter().rev().fold(0, |number, quarter| number << 32 | u128::from(quarter))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_put_together_again(number in any::<u128>(), half in any::<u64>()) {
            prop_assert_eq!(joined(quarters(number)), number);
            prop_assert_eq!(whole(halves(half)), half);
        }

        #[test]
        fn moments_come_back_to_the_nanosecond(after in -1_000_000_000_000_i64..i64::MAX / 4) {
            let epoch = Instant::now();
            let at = instant(after, epoch).unwrap();
            prop_assert_eq!(nanos(at, epoch), after);
        }
    }

    #[test]
    fn what_is_too_far_away_is_as_far_as_it_goes_and_not_forever() {
        let epoch = Instant::now();
        let far = epoch + Duration::from_secs(i64::MAX.unsigned_abs() / 2);
        assert_eq!(nanos(far, epoch), FOREVER - 1);
        assert_eq!(instant(FOREVER, epoch), None);
    }
}
