//! Who was turned away lately without an incident: over a quota, unwanted, banned, of no user. The number on such
//! an answer leads here for an hour, or until a few thousand others were given out.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::decision::DecisionId;
use super::incident::IncidentId;

/// How many are remembered at the most; beyond it the oldest go.
const MOST: usize = 4_096;
/// For how long.
const KEPT: Duration = Duration::from_hours(1);

/// Why somebody was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Beyond a quota, and within it again after so long.
    Quota {
        /// How long.
        retry_after: Duration,
    },
    /// Banned by this decision, which no incident led to.
    Banned(DecisionId),
    /// On a list, or of a place, that is not wanted.
    Unwanted,
    /// Has to log in, and was of no user.
    NoUser,
}

/// One that was turned away. When is in its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slip {
    /// The number on the answer.
    pub id: IncidentId,
    /// Whose request it was.
    pub address: IpAddr,
    /// Why.
    pub why: Why,
}

impl Slip {
    fn is_kept(&self, now_ms: u64) -> bool {
        u128::from(now_ms.saturating_sub(self.id.at_ms())) < KEPT.as_millis()
    }
}

/// The last of them.
#[derive(Debug, Default)]
pub struct TurnedAway(Mutex<VecDeque<Slip>>);

impl TurnedAway {
    /// Remembers one, unless somebody else is at it: no answer waits for this.
    pub fn note(&self, slip: Slip) {
        let Ok(mut slips) = self.0.try_lock() else { return };
        let goes = |oldest: &Slip| !oldest.is_kept(slip.id.at_ms());
        while slips.len() >= MOST || slips.front().is_some_and(goes) {
            slips.pop_front();
        }
        slips.push_back(slip);
    }

    /// The one with this number, if it is remembered at `now_ms`, in milliseconds since 1970.
    pub fn find(&self, id: IncidentId, now_ms: u64) -> Option<Slip> {
        let slips = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slips.iter().rev().find(|slip| slip.id == id).filter(|slip| slip.is_kept(now_ms)).copied()
    }

    /// Forgets those that `is_of` is true of; how many there were.
    pub fn erase(&self, is_of: impl Fn(IpAddr) -> bool) -> usize {
        let mut slips = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = slips.len();
        slips.retain(|slip| !is_of(slip.address));
        before - slips.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn slip(number: u32) -> Slip {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::from(number));
        let address = IpAddr::V4(number.into());
        Slip { id: IncidentId::new(at, number.into()), address, why: Why::Unwanted }
    }

    #[test]
    fn a_number_leads_to_whom_it_was_given_for_an_hour_and_some_thousand_others() {
        let turned_away = TurnedAway::default();
        (1..=5_000).for_each(|number| turned_away.note(slip(number)));
        assert_eq!(turned_away.find(slip(5_000).id, 5_000), Some(slip(5_000)));
        assert_eq!(turned_away.find(slip(905).id, 1_000_000), Some(slip(905)));
        assert_eq!(turned_away.find(slip(904).id, 1_000_000), None, "4,096 came after it");
        assert_eq!(turned_away.find(slip(905).id, 905 + 3_600_000), None, "an hour is over");
        assert_eq!(turned_away.find(slip(9_999).id, 9_999), None, "nobody was given it");
        turned_away.note(slip(906 + 3_600_000));
        assert_eq!(
            turned_away.erase(|address| address <= slip(906).address),
            0,
            "they are gone by themselves"
        );
        assert_eq!(turned_away.erase(|_| true), 4_095);
    }

    #[test]
    fn who_is_erased_is_not_remembered() {
        let turned_away = TurnedAway::default();
        (1..=9).for_each(|number| turned_away.note(slip(number)));
        assert_eq!(turned_away.erase(|address| address == slip(5).address), 1);
        assert_eq!((turned_away.find(slip(5).id, 5), turned_away.find(slip(6).id, 6)), (None, Some(slip(6))));
    }
}
