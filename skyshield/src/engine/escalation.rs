//! Escalation: a source that comes back is banned for longer, and where most of a neighbourhood
//! turns out bad the ban grows to its prefix. Both shrink alone, as the bans end.

mod config;
mod neighbours;
mod repeaters;

use std::net::IpAddr;
use std::time::{Duration, Instant};

pub use config::Config;

use self::neighbours::Neighbours;
use self::repeaters::Repeaters;
use super::source::Source;

/// What a detector's ban comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// For how long the source itself is banned.
    pub ttl: Duration,
    /// The prefix to ban beside it, on the evidence of its members.
    pub widened: Option<Source>,
}

/// Remembers whom detectors had banned, and who of their neighbours behaves.
#[derive(Debug)]
pub struct Escalation {
    config: Config,
    first: Duration,
    repeaters: Repeaters,
    neighbours: Neighbours,
}

impl Escalation {
    /// One that knows nobody; a first ban lasts `first`.
    pub fn new(config: Config, first: Duration) -> Self {
        Self { config, first, repeaters: Repeaters::default(), neighbours: Neighbours::default() }
    }

    /// Goes by `config` and `first` from here on, and forgets nobody for it.
    pub fn go_by(&mut self, config: Config, first: Duration) {
        self.config = config;
        self.first = first;
    }

    /// Takes up that `source` had been banned `times` before, the last time at `last`.
    pub fn restore(&mut self, source: Source, times: u32, last: Instant) {
        self.repeaters.restore(source, times, last, self.config.tracked);
    }

    /// The sentence on `address`, banned anew at `now`. `chance`, 0 to 1, spreads the ends of bans that
    /// began together.
    pub fn sentence(&mut self, address: IpAddr, now: Instant, chance: f64) -> Sentence {
        let host = Source::host(address);
        let earlier = self.repeaters.note(host, now, &self.config);
        let widened = self.neighbours.note_bad(address, now, &self.config);
        Sentence { ttl: self.length(earlier, chance), widened }
    }

    /// Notes that `address` behaved at `now`: it had an answer and gave no offence.
    pub fn note_good(&mut self, address: IpAddr, now: Instant) {
        self.neighbours.note_good(address, now, &self.config);
    }

    /// Forgets that the sources in `source` were ever banned.
    pub fn forget(&mut self, source: Source) {
        self.repeaters.forget(source);
    }

    /// Forgets what is too long ago at `now`.
    pub fn forget_faded(&mut self, now: Instant) {
        self.repeaters.forget_faded(now, &self.config);
        self.neighbours.forget_faded(now, &self.config);
    }

    /// Sources and prefixes that were not remembered for want of room.
    pub fn not_remembered(&self) -> u64 {
        self.repeaters.refused() + self.neighbours.refused()
    }

    /// The length of a ban after `earlier` ones.
    fn length(&self, earlier: u32, chance: f64) -> Duration {
        let Config { factor, longest_ban_secs, jitter, .. } = self.config;
        let grown = self.first.as_secs_f64() * factor.powf(f64::from(earlier.min(64)));
        let spread = 1.0 + jitter * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
        // The first ban is as long as the configuration says, to the second.
        let length = if earlier == 0 { grown } else { grown * spread };
        let longest = Duration::from_secs(longest_ban_secs).max(self.first);
        Duration::try_from_secs_f64(length).map_or(longest, |length| length.min(longest))
    }
}

#[cfg(test)]
mod tests;
