//! What is counted, and what is said of it: on the wire by clients and attackers, in the kernel by its counters.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use skyshield::dataplane::Remains;
use skyshield_common::{Reason, Verdict};

use crate::daemon::Daemon;
use crate::world::World;

/// What went wrong is kept up to this many times.
const MAX_ERRORS: usize = 20;

/// The count so far.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    honest_sent: u64,
    honest_ok: u64,
    attacks_sent: u64,
    attacks_refused: u64,
    attackers: HashSet<IpAddr>,
    kinds: BTreeSet<String>,
    news: Vec<String>,
    errors: Vec<String>,
}

impl Tally {
    /// An honest request was answered as it should be, or not.
    pub(super) fn honest(&self, outcome: Result<(), String>) {
        let mut counts = self.counts();
        counts.honest_sent += 1;
        match outcome {
            Ok(()) => counts.honest_ok += 1,
            Err(error) => counts.wrong(error),
        }
    }

    /// An attack was refused, or not. The first of each is news.
    pub(super) fn attack(&self, from: IpAddr, kind: &str, line: &str, outcome: Result<(), String>) {
        let mut counts = self.counts();
        counts.attacks_sent += 1;
        counts.attackers.insert(from);
        match outcome {
            Ok(()) => {
                counts.attacks_refused += 1;
                if counts.kinds.insert(line.to_owned()) {
                    let line: String = line.chars().take(90).collect();
                    counts.news.push(format!("  refused  {from:<24} {kind:<21} {line}"));
                }
            }
            Err(error) => counts.wrong(error),
        }
    }

    /// Something else went wrong.
    pub(super) fn wrong(&self, error: String) {
        self.counts().wrong(error);
    }

    /// What has happened since the last time.
    pub(super) fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.counts().news)
    }

    /// The count in one line.
    pub(super) fn summary(&self) -> String {
        let counts = self.counts();
        format!(
            "honest {}/{} answered, attacks {}/{} refused",
            counts.honest_ok, counts.honest_sent, counts.attacks_refused, counts.attacks_sent
        )
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn wrong(&mut self, error: String) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }
}

/// What it came to.
#[derive(Debug)]
pub(super) struct Report(Value);

impl Report {
    /// Asks the kernel and the daemon for their part of the count.
    pub(super) fn of(world: &World, daemon: &Daemon, tally: &Tally, xdp_mode: &str) -> anyhow::Result<Self> {
        let kernel = world.kernel()?;
        let counts = tally.counts();
        let banned: HashSet<IpAddr> = kernel.bans.iter().map(|(source, _)| source.address()).collect();
        let mut lags: Vec<f64> = daemon
            .decisions()?
            .iter()
            .filter_map(|decision| decision["enforced_after_ms"].as_f64())
            .collect();
        lags.sort_by(f64::total_cmp);
        let mut errors = counts.errors.clone();
        errors.extend(
            counts
                .attackers
                .iter()
                .filter(|attacker| !banned.contains(attacker))
                .take(MAX_ERRORS)
                .map(|attacker| format!("{attacker} attacked and is not banned")),
        );
        if lags.len() != counts.attackers.len() {
            errors.push(format!(
                "{} attackers, but {} bans with a measured time",
                counts.attackers.len(),
                lags.len()
            ));
        }
        Ok(Self(json!({
            "honest_sent": counts.honest_sent,
            "honest_ok": counts.honest_ok,
            "attacks_sent": counts.attacks_sent,
            "attacks_refused": counts.attacks_refused,
            "sources_banned": counts.attackers.iter().filter(|attacker| banned.contains(attacker)).count(),
            "packets_dropped": dropped(&kernel),
            "request_to_ban_ms": { "p50": percentile(&lags, 50), "p99": percentile(&lags, 99) },
            "xdp_mode": xdp_mode,
            "errors": errors,
        })))
    }

    /// The object of the last line.
    pub(super) fn json(&self) -> &Value {
        &self.0
    }

    /// Whether everything was as it should be.
    pub(super) fn is_well(&self) -> bool {
        self.0["errors"].as_array().is_some_and(Vec::is_empty)
    }

    /// The same for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let lag = &self.0["request_to_ban_ms"];
        let mut lines = vec![
            String::new(),
            format!("honest requests answered   {} of {}", self.0["honest_ok"], self.0["honest_sent"]),
            format!("attacks refused            {} of {}", self.0["attacks_refused"], self.0["attacks_sent"]),
            format!("attackers banned           {}", self.0["sources_banned"]),
            format!("packets dropped by XDP     {}", self.0["packets_dropped"]),
            format!("request to kernel ban      p50 {} ms, p99 {} ms", lag["p50"], lag["p99"]),
        ];
        lines
            .extend(self.0["errors"].as_array().into_iter().flatten().map(|error| format!("WRONG: {error}")));
        lines
    }
}

/// Packets that the kernel has dropped, for whatever reason.
pub(super) fn dropped(kernel: &Remains) -> u64 {
    let drops = |reason: &Reason| reason.verdict() == Verdict::Drop;
    kernel.counters.iter().filter(|(reason, _)| drops(reason)).map(|(_, counter)| counter.packets).sum()
}

/// The value that `percent` of the sorted values do not exceed, to the microsecond.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(|value| (value * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        assert_eq!(percentile(&[], 99), None);
        assert_eq!(percentile(&[1.0], 99), Some(1.0));
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 99)), (Some(50.0), Some(99.0)));
    }
}
