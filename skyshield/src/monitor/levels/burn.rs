//! What was counted in the last minutes and hours.

use std::collections::BTreeMap;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
/// Minutes that are remembered.
const MINUTES: i64 = 61;
/// Hours that are remembered: thirty days.
const HOURS: i64 = 720;

/// How far back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Five minutes.
    FiveMinutes,
    /// Half an hour.
    HalfHour,
    /// An hour.
    Hour,
    /// Six hours.
    SixHours,
    /// Three days.
    ThreeDays,
    /// Thirty days.
    Month,
}

impl Window {
    /// Those in which the speed is reckoned.
    pub const ALL: [Self; 5] =
        [Self::FiveMinutes, Self::HalfHour, Self::Hour, Self::SixHours, Self::ThreeDays];

    /// Its name in metrics and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::HalfHour => "30m",
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::ThreeDays => "3d",
            Self::Month => "30d",
        }
    }

    /// Its unit in seconds, and how many.
    const fn span(self) -> (i64, i64) {
        match self {
            Self::FiveMinutes => (MINUTE, 5),
            Self::HalfHour => (MINUTE, 30),
            Self::Hour => (MINUTE, 60),
            Self::SixHours => (HOUR, 6),
            Self::ThreeDays => (HOUR, 72),
            Self::Month => (HOUR, 720),
        }
    }
}

/// Misses and requests, by minute and by hour since 1970.
#[derive(Debug, Default)]
pub(super) struct Burn {
    minutes: BTreeMap<i64, (u64, u64)>,
    hours: BTreeMap<i64, (u64, u64)>,
}

impl Burn {
    /// Counts `bad` of `total` at `now`.
    pub(super) fn add(&mut self, now: i64, bad: u64, total: u64) {
        for (slots, unit, kept) in [(&mut self.minutes, MINUTE, MINUTES), (&mut self.hours, HOUR, HOURS)] {
            let slot = now.div_euclid(unit);
            if total > 0 {
                let counted = slots.entry(slot).or_default();
                *counted = (counted.0 + bad, counted.1 + total);
            }
            while slots.first_key_value().is_some_and(|(&oldest, _)| oldest <= slot - kept) {
                slots.pop_first();
            }
        }
    }

    /// Takes up what an hour had come to.
    pub(super) fn restore(&mut self, hour: i64, bad: u64, total: u64) {
        self.hours.insert(hour, (bad, total));
    }

    /// Misses and requests in the window that ends at `now`.
    pub(super) fn in_window(&self, window: Window, now: i64) -> (u64, u64) {
        let (unit, count) = window.span();
        let slots = if unit == MINUTE { &self.minutes } else { &self.hours };
        let last = now.div_euclid(unit);
        let counted = slots.range(last - count + 1..=last);
        counted.fold((0, 0), |sum, (_, counted)| (sum.0 + counted.0, sum.1 + counted.1))
    }

    /// What an hour has come to.
    pub(super) fn of_hour(&self, hour: i64) -> Option<(u64, u64)> {
        self.hours.get(&hour).copied()
    }
}
