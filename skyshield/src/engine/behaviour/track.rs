//! What is remembered of one source.

use std::time::Duration;

use super::config::Config;
use super::count::{Different, Fading};
use super::signal::{Signal, Traits};
use super::table::Kept;

/// For how long attempts to log in weigh.
pub(super) const LOGIN_HALF_LIFE: Duration = Duration::from_hours(2);
/// For how long found and missing pages weigh.
pub(super) const PAGES_HALF_LIFE: Duration = Duration::from_hours(4);
/// Over how long a flood is measured.
pub(super) const FLOOD_HALF_LIFE: Duration = Duration::from_secs(10);

/// One source, in a few hundred bytes.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// All requests.
    pub(super) requests: Fading,
    /// Pages that were there, and those that were not.
    pub(super) found: Fading,
    pub(super) missed: Fading,
    pub(super) missed_pages: Different,
    pub(super) well_known: Different,
    /// Sites on which pages were missing.
    pub(super) missed_sites: Different,
    /// Values that were accepted, and those that were not.
    pub(super) accepted: Fading,
    pub(super) rejected: Fading,
    pub(super) rejected_values: Different,
    /// Attempts to log in.
    pub(super) failed: Fading,
    pub(super) succeeded: Fading,
    pub(super) failed_accounts: Different,
    pub(super) succeeded_accounts: Different,
    /// Failures at accounts that many sources fail at.
    pub(super) at_target: Fading,
    /// The series of numbers it is at: which, the last number, steps taken and steps that missed.
    series: u64,
    number: u64,
    pub(super) steps: Fading,
    pub(super) missteps: Fading,
    pub(super) worst: f32,
}

/// What one outcome was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    LoginFailed,
    LoginSucceeded,
    Other,
}

impl Kept for Track {
    fn worth(&self) -> f32 {
        self.worst
    }
}

impl Track {
    pub(super) fn note(&mut self, signal: &Signal, config: &Config, now: Duration) -> Seen {
        self.requests.add(now, FLOOD_HALF_LIFE);
        if signal.traits.has(Traits::LOGIN) {
            return self.login(signal, now);
        }
        self.page(signal, config, now);
        if signal.traits.has(Traits::WRITES) {
            self.write(signal, config, now);
        }
        Seen::Other
    }

    fn login(&mut self, signal: &Signal, now: Duration) -> Seen {
        let account = signal.account.map_or(0, std::num::NonZeroU64::get);
        match signal.login {
            Some(true) => {
                self.succeeded.add(now, LOGIN_HALF_LIFE);
                self.succeeded_accounts.add(account, now);
                Seen::LoginSucceeded
            }
            Some(false) => {
                self.failed.add(now, LOGIN_HALF_LIFE);
                self.failed_accounts.add(account, now);
                Seen::LoginFailed
            }
            None => Seen::Other,
        }
    }

    fn page(&mut self, signal: &Signal, config: &Config, now: Duration) {
        let is_missing = config.missing.contains(&signal.status);
        if is_missing {
            self.missed.add(now, PAGES_HALF_LIFE);
            self.missed_pages.add(signal.path, now);
            self.missed_sites.add(signal.site, now);
            if signal.traits.has(Traits::WELL_KNOWN) {
                self.well_known.add(signal.path, now);
            }
        } else if (200..400).contains(&signal.status) {
            self.found.add(now, PAGES_HALF_LIFE);
        }
        if let Some((series, number)) = signal.series {
            let is_step = self.series == series && (1..=3).contains(&number.abs_diff(self.number));
            if is_step {
                self.steps.add(now, PAGES_HALF_LIFE);
                if is_missing {
                    self.missteps.add(now, PAGES_HALF_LIFE);
                }
            }
            (self.series, self.number) = (series, number);
        }
    }

    fn write(&mut self, signal: &Signal, config: &Config, now: Duration) {
        if config.not_accepted.contains(&signal.status) {
            self.rejected.add(now, LOGIN_HALF_LIFE);
            self.rejected_values.add(signal.value, now);
        } else if (200..400).contains(&signal.status) {
            self.accepted.add(now, LOGIN_HALF_LIFE);
        }
    }
}
