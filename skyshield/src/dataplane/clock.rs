//! Kernel time: the one place that reads `CLOCK_BOOTTIME`.

use std::time::Duration;

use nix::libc;
use skyshield_common::UNTIL_LIFTED;

use super::enforcer::LONGEST_BYPASS;

/// Now, in the nanoseconds that the program's own clock counts.
pub(super) fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours. With a clock that exists since Linux 2.6.39 and a
    // valid pointer the call cannot fail.
    #[expect(unsafe_code, reason = "no safe binding is among our dependencies")]
    unsafe {
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now)
    };
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// How long a jiffy is: the step of the coarse clocks.
pub(super) fn jiffy_ns() -> u64 {
    const USUAL_NS: u64 = 4_000_000;
    let mut step = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    #[expect(unsafe_code, reason = "no safe binding is among our dependencies")]
    unsafe {
        libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut step)
    };
    u64::try_from(step.tv_nsec).ok().filter(|ns| *ns > 0).unwrap_or(USUAL_NS)
}

/// The deadline `ttl` from `now_ns`; none is until lifted.
pub(super) fn deadline(now_ns: u64, ttl: Option<Duration>) -> u64 {
    /// Over for whatever clock: the program's lags by a jiffy or two.
    const LONG_AGO_NS: u64 = 1;
    if ttl == Some(Duration::ZERO) {
        return LONG_AGO_NS;
    }
    ttl.and_then(|ttl| u64::try_from(ttl.as_nanos()).ok())
        .and_then(|ttl| now_ns.checked_add(ttl))
        .unwrap_or(UNTIL_LIFTED)
}

/// Until when everything passes, from `now_ns` on; 0 where nothing is to be bypassed.
pub(super) fn bypass_until(now_ns: u64, ttl: Option<Duration>) -> u64 {
    ttl.map_or(0, |ttl| deadline(now_ns, Some(ttl.min(LONGEST_BYPASS))))
}

/// The time to live of what ends at `deadline_ns`; zero for what has ended.
pub(super) fn ttl(now_ns: u64, deadline_ns: u64) -> Option<Duration> {
    (deadline_ns != UNTIL_LIFTED).then(|| Duration::from_nanos(deadline_ns.saturating_sub(now_ns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_comes_back_as_it_went() {
        for given in [None, Some(Duration::ZERO), Some(Duration::from_secs(601))] {
            assert_eq!(ttl(7, deadline(7, given)), given);
        }
        assert_eq!(deadline(7, Some(Duration::MAX)), UNTIL_LIFTED);
        assert_eq!(ttl(7, 3), Some(Duration::ZERO));
    }

    #[test]
    fn a_bypass_has_an_end_and_no_late_one() {
        assert_eq!(bypass_until(7, None), 0);
        assert_eq!(bypass_until(7, Some(Duration::from_nanos(3))), 10);
        let longest = 7 + 24 * 3600 * 1_000_000_000;
        assert_eq!(bypass_until(7, Some(Duration::MAX)), longest);
    }

    #[test]
    fn the_clock_goes_on() {
        let before = now_ns();
        assert!(before > 0 && now_ns() >= before);
    }
}
