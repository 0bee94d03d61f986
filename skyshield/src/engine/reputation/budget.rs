//! A provider's budget: so many questions a day, and never one more, restart or no restart.

use serde::{Deserialize, Serialize};

/// Questions that are set aside on disk at a time, at the most: so many a crash may cost.
const AT_ONCE: u32 = 10;
/// And this part of the day's, where that is less.
const PART: u32 = 20;
/// Seconds of a day, of which the providers' begin at midnight UTC.
const DAY: u64 = 86_400;

/// What may still be spent. What is spent is set aside on disk before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    daily: u32,
    day: u64,
    spent: u32,
    set_aside: u32,
    exhausted_until: u64,
}

/// What is kept on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The day, counted from 1970.
    pub day: u64,
    /// Questions that may have been asked on it.
    pub set_aside: u32,
    /// When the provider is to be asked again, in seconds since 1970.
    #[serde(default)]
    pub exhausted_until: u64,
}

impl Budget {
    /// A budget of `daily` questions, of which those in `kept` are spent.
    pub fn new(daily: u32, kept: Option<Kept>) -> Self {
        let Kept { day, set_aside, exhausted_until } = kept.unwrap_or_default();
        Self { daily, day, spent: set_aside, set_aside, exhausted_until }
    }

    /// Begins a new day where there is one. A clock that goes back begins none.
    fn turn(&mut self, wall_secs: u64) {
        let day = wall_secs / DAY;
        if day > self.day {
            (self.day, self.spent, self.set_aside) = (day, 0, 0);
        }
    }

    /// Whether a question of this worth (0 to 1) may be asked at `wall_secs`: what is worth little gets its
    /// share as the day goes by, what is worth more may be ahead of it.
    pub fn allows(&mut self, worth: f32, wall_secs: u64) -> bool {
        self.turn(wall_secs);
        if wall_secs < self.exhausted_until || self.spent >= self.daily {
            return false;
        }
        #[expect(clippy::cast_precision_loss, reason = "a day has few seconds")]
        let gone = (wall_secs % DAY) as f64 / DAY as f64;
        let may = f64::from(self.daily) * (gone + f64::from(worth.clamp(0.0, 1.0))).min(1.0);
        f64::from(self.spent) < may.max(1.0)
    }

    /// What has to be on disk before anything more is asked, if anything has.
    pub fn to_keep(&self) -> Option<Kept> {
        (self.spent >= self.set_aside && self.spent < self.daily).then(|| Kept {
            set_aside: self.spent.saturating_add((self.daily / PART).clamp(1, AT_ONCE)).min(self.daily),
            ..self.kept()
        })
    }

    /// Notes that `kept` is on disk.
    pub fn note_kept(&mut self, kept: Kept) {
        if kept.day == self.day {
            self.set_aside = self.set_aside.max(kept.set_aside);
        }
    }

    /// What is to be on disk as things are.
    pub fn kept(&self) -> Kept {
        Kept { day: self.day, set_aside: self.set_aside, exhausted_until: self.exhausted_until }
    }

    /// Spends one; false where none is set aside.
    pub fn spend(&mut self) -> bool {
        let may = self.spent < self.set_aside;
        self.spent += u32::from(may);
        may
    }

    /// Nothing more until the provider's next day, or for `secs` where it says so.
    pub fn exhaust(&mut self, secs: Option<u64>, wall_secs: u64) {
        let midnight = (wall_secs / DAY + 1) * DAY;
        // A provider that says two days is held to one: the next day's first question will tell.
        let until = secs.map_or(midnight, |secs| wall_secs.saturating_add(secs.clamp(1, DAY)));
        self.exhausted_until = self.exhausted_until.max(until);
    }

    /// Questions that are left today.
    pub fn left(&self) -> u32 {
        self.daily.saturating_sub(self.spent)
    }

    /// Questions that were asked today.
    pub fn spent(&self) -> u32 {
        self.spent
    }

    /// Until when the provider wants nothing, in seconds since 1970.
    pub fn exhausted_until(&self) -> u64 {
        self.exhausted_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks as much as it may at one moment; how much that was.
    fn asked(budget: &mut Budget, worth: f32, wall: u64, disk: &mut Option<Kept>) -> u32 {
        let mut asked = 0;
        while budget.allows(worth, wall) {
            if let Some(kept) = budget.to_keep() {
                *disk = Some(kept);
                budget.note_kept(kept);
            }
            asked += u32::from(budget.spend());
        }
        asked
    }

    #[test]
    fn a_day_spends_its_budget_and_no_more_whatever_is_wanted() {
        let mut disk = None;
        let mut budget = Budget::new(100, None);
        assert_eq!(asked(&mut budget, 1.0, 10 * DAY, &mut disk), 100);
        assert_eq!(asked(&mut budget, 1.0, 11 * DAY - 1, &mut disk), 0);
        assert_eq!(asked(&mut budget, 1.0, 11 * DAY, &mut disk), 100);
    }

    #[test]
    fn what_is_worth_little_waits_for_the_day_to_go_by() {
        let (mut disk, mut budget) = (None, Budget::new(100, None));
        assert_eq!(asked(&mut budget, 0.0, 10 * DAY, &mut disk), 1);
        assert_eq!(asked(&mut budget, 0.0, 10 * DAY + DAY / 2, &mut disk), 49);
        assert_eq!(asked(&mut budget, 0.25, 10 * DAY + DAY / 2, &mut disk), 25);
        assert_eq!(asked(&mut budget, 1.0, 10 * DAY + DAY / 2, &mut disk), 25);
    }

    #[test]
    fn a_crash_at_any_moment_overspends_nothing() {
        let (mut disk, mut all) = (None, 0);
        for crash_after in 1..40 {
            let mut budget = Budget::new(100, disk);
            for _ in 0..crash_after {
                if !budget.allows(1.0, 10 * DAY) {
                    break;
                }
                if let Some(kept) = budget.to_keep() {
                    disk = Some(kept);
                    budget.note_kept(kept);
                }
                all += u32::from(budget.spend());
            }
        }
        assert!(all <= 100 && all > 20, "{all}");
        assert_eq!(Budget::new(4, None).to_keep().map(|kept| kept.set_aside), Some(1));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_an_exhausted_provider_is_left_alone() {
        let (mut disk, mut budget) = (None, Budget::new(10, None));
        assert_eq!(asked(&mut budget, 1.0, 10 * DAY, &mut disk), 10);
        assert_eq!(asked(&mut budget, 1.0, 9 * DAY, &mut disk), 0);
        let mut other = Budget::new(10, None);
        other.exhaust(Some(60), 10 * DAY);
        assert!(!other.allows(1.0, 10 * DAY + 59) && other.allows(1.0, 10 * DAY + 60));
        other.exhaust(None, 10 * DAY + 60);
        assert!(!other.allows(1.0, 11 * DAY - 1) && other.allows(1.0, 11 * DAY));
        let kept = Budget::new(10, Some(other.kept()));
        assert_eq!(kept.exhausted_until(), 11 * DAY);
    }

    #[test]
    fn nothing_is_spent_that_is_not_set_aside() {
        let mut budget = Budget::new(10, None);
        assert!(budget.allows(1.0, 10 * DAY) && !budget.spend());
    }
}
