//! What many sources do together: one list of passwords tried from everywhere, and what fails for all.

use std::time::Duration;

use super::count::{Crowd, Different, Fading};
use super::signal::{Signal, Traits};
use super::table::{Kept, Table};
use super::track::Seen;

/// Accounts that are remembered at a time.
const ACCOUNTS: usize = 16_384;
/// An account that this many sources fail at is a target.
const TARGET_SOURCES: f32 = 8.0;
/// So many sources that only fail are a campaign, where they are also a good part of all that log in.
const CAMPAIGN_SOURCES: f32 = 40.0;
const CAMPAIGN_SHARE: f32 = 0.2;
/// What fails for everybody is the application's fault.
const OUTAGE_HALF_LIFE: Duration = Duration::from_mins(10);

/// One account: the sources that fail at it.
#[derive(Debug, Default)]
struct Account {
    sources: Different,
}

impl Kept for Account {
    fn worth(&self) -> f32 {
        0.0
    }
}

#[derive(Debug)]
pub(super) struct Campaign {
    accounts: Table<Account>,
    /// Sources that fail to log in, and sources that succeed.
    failing: Crowd,
    succeeding: Crowd,
    is_on: bool,
    /// Pages that are missing and those that are not, over all sources.
    found: Fading,
    missed: Fading,
}

impl Default for Campaign {
    fn default() -> Self {
        Self {
            accounts: Table::new(ACCOUNTS),
            failing: Crowd::default(),
            succeeding: Crowd::default(),
            is_on: false,
            found: Fading::default(),
            missed: Fading::default(),
        }
    }
}

impl Campaign {
    /// Takes note of what the source with this fingerprint did; whether it failed at a target.
    pub(super) fn note(
        &mut self,
        source: u64,
        signal: &Signal,
        seen: Seen,
        is_missing: bool,
        now: Duration,
    ) -> bool {
        match seen {
            Seen::LoginSucceeded => self.succeeding.add(source, now),
            Seen::LoginFailed => {
                self.failing.add(source, now);
                self.failing.turn(now);
                self.succeeding.turn(now);
                let (failing, only_failing) = self.failing.count_without(&self.succeeding);
                let (succeeding, _) = self.succeeding.count_without(&self.failing);
                let all = failing.max(only_failing + succeeding).max(1.0);
                self.is_on = only_failing >= CAMPAIGN_SOURCES && only_failing / all >= CAMPAIGN_SHARE;
                if let Some(account) = signal.account {
                    let account = self.accounts.entry(account.get(), now);
                    account.sources.add(source, now);
                    return account.sources.count(now) >= TARGET_SOURCES;
                }
            }
            Seen::Other if signal.traits.has(Traits::LOGIN) => {}
            Seen::Other if is_missing => self.missed.add(now, OUTAGE_HALF_LIFE),
            Seen::Other => self.found.add(now, OUTAGE_HALF_LIFE),
        }
        false
    }

    /// Whether lists of passwords are being tried from many sources.
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether pages are missing for everybody: `missed` is what one source has missed lately.
    pub(super) fn is_outage(&self, missed: f32, now: Duration) -> bool {
        let (found, all_missed) =
            (self.found.value(now, OUTAGE_HALF_LIFE), self.missed.value(now, OUTAGE_HALF_LIFE));
        all_missed > 3.0 * found && all_missed > 4.0 * missed.max(10.0)
    }
}
