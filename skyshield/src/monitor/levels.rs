//! Service levels: what each site promises, how much of the error budget is left, how fast it burns.

mod burn;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::traffic::{Site, Sites};
use crate::engine::reading::Reading;
use crate::store::LevelRow;
use burn::Burn;

pub use burn::Window;

/// What a site promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Objective {
    /// Requests get an answer from the application.
    Availability,
    /// Answers take less than two seconds.
    Latency,
    /// Answers are no errors.
    Errors,
    /// Answers come from the application's cache.
    Cache,
}

/// The share of requests that each objective asks for. The defaults are the mission's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Requests that an upstream answered.
    pub availability: f64,
    /// Answers within two seconds.
    pub latency: f64,
    /// Answers other than 5xx.
    pub errors: f64,
    /// Answers from the application's cache, of those that tell (`Server-Timing`).
    pub cache: f64,
    /// Fewer requests than this in a window say nothing of how fast its budget burns.
    pub min_requests: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { availability: 0.999, latency: 0.99, errors: 0.99, cache: 0.8, min_requests: 20 }
    }
}

impl Config {
    /// What is wrong with it, if anything: the key and how to mend it.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let keys = [
            ("service_levels.availability", self.availability),
            ("service_levels.latency", self.latency),
            ("service_levels.errors", self.errors),
            ("service_levels.cache", self.cache),
        ];
        let (key, share) = keys.into_iter().find(|&(_, share)| !(share > 0.0 && share < 1.0))?;
        Some((
            key,
            format!("{share} is no share between 0 and 1; 0.999 allows one request of a thousand to miss it"),
        ))
    }

    fn of(&self, objective: Objective) -> f64 {
        match objective {
            Objective::Availability => self.availability,
            Objective::Latency => self.latency,
            Objective::Errors => self.errors,
            Objective::Cache => self.cache,
        }
    }
}

impl Objective {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Availability, Self::Latency, Self::Errors, Self::Cache];

    /// Its name in metrics and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Latency => "latency",
            Self::Errors => "errors",
            Self::Cache => "cache",
        }
    }

    /// How many of a site's requests missed it, and how many there were.
    fn count(self, site: &Site) -> (u64, u64) {
        match self {
            Self::Availability => (site.unavailable.min(site.requests), site.requests),
            Self::Latency => (site.slow, site.timed),
            Self::Errors => (site.errors, site.requests),
            Self::Cache => (site.misses, site.hits + site.misses),
        }
    }
}

/// How a site stands by one objective.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Level {
    /// The site.
    pub site: String,
    /// The objective.
    pub objective: &'static str,
    /// The share of requests it asks for.
    pub target: f64,
    /// The share that met it, in the last 30 days; none without requests.
    pub reached: Option<f64>,
    /// Requests in the last 30 days.
    pub requests: u64,
    /// What is left of the error budget of 30 days: 1 is all of it, below 0 it is overspent.
    pub budget_left: f64,
    /// How many times faster than allowed the budget is spent, by window: at 1 it lasts 30 days.
    pub burn: BTreeMap<&'static str, f64>,
}

/// The service levels of every site.
#[derive(Debug)]
pub struct Levels {
    config: Config,
    sites: BTreeMap<(String, Objective), Burn>,
}

/// Sites that are told apart at the most: the gateway has fewer, but its configuration may be reloaded.
const MAX_SITES: usize = 256;

impl Levels {
    /// Those that `config` asks for, with what is kept of the hours before.
    pub fn new(config: Config, kept: &[LevelRow]) -> Self {
        let mut levels = Self { config, sites: BTreeMap::new() };
        for row in kept {
            let Some(objective) = Objective::ALL.into_iter().find(|known| known.name() == row.objective)
            else {
                continue;
            };
            if let Some(burn) = levels.of(&row.site, objective) {
                burn.restore(row.hour, row.bad.unsigned_abs(), row.total.unsigned_abs());
            }
        }
        levels
    }

    fn of(&mut self, site: &str, objective: Objective) -> Option<&mut Burn> {
        let key = (site.to_owned(), objective);
        if !self.sites.contains_key(&key) && self.sites.len() >= MAX_SITES * Objective::ALL.len() {
            return None;
        }
        Some(self.sites.entry(key).or_default())
    }

    /// Takes in what each site has answered since the last time; `now` in seconds since 1970.
    pub fn add(&mut self, grown: &Sites, now: i64) {
        for (name, site) in grown {
            for objective in Objective::ALL {
                let (bad, total) = objective.count(site);
                if let Some(burn) = self.of(name, objective) {
                    burn.add(now, bad, total);
                }
            }
        }
    }

    /// How every site stands.
    pub fn state(&self, now: i64) -> Vec<Level> {
        let level = |((site, objective), burn): (&(String, Objective), &Burn)| {
            let target = self.config.of(*objective);
            let (bad, total) = burn.in_window(Window::Month, now);
            let share = |bad: u64, total: u64| super::host_number(bad) / super::host_number(total.max(1));
            let least = self.config.min_requests.max(1);
            let rate = |window| {
                let (bad, total) = burn.in_window(window, now);
                if total < least { 0.0 } else { share(bad, total) / (1.0 - target) }
            };
            Level {
                site: site.clone(),
                objective: objective.name(),
                target,
                reached: (total > 0).then(|| 1.0 - share(bad, total)),
                requests: total,
                budget_left: 1.0 - share(bad, total) / (1.0 - target),
                burn: Window::ALL.into_iter().map(|window| (window.name(), rate(window))).collect(),
            }
        };
        self.sites.iter().map(level).collect()
    }

    /// What has come of the hour of `now`, to be kept.
    pub fn rows(&self, now: i64) -> Vec<LevelRow> {
        let hour = now.div_euclid(3600);
        let rows = self.sites.iter().filter_map(|((site, objective), burn)| {
            let (bad, total) = burn.of_hour(hour)?;
            let (site, objective) = (site.clone(), objective.name().to_owned());
            Some(LevelRow { site, objective, hour, bad: bad.cast_signed(), total: total.cast_signed() })
        });
        rows.collect()
    }
}

impl Level {
    /// For alerts and the history: a burn counts where a long and a short window agree, so that an alert
    /// comes soon and goes soon.
    pub fn readings(&self) -> Vec<Reading> {
        let labels =
            vec![("objective".to_owned(), self.objective.to_owned()), ("site".to_owned(), self.site.clone())];
        let of = |name: &str, value: f64| Reading { name: name.to_owned(), labels: labels.clone(), value };
        let both = |long: Window, short: Window| {
            let rate = |window: Window| self.burn.get(window.name()).copied().unwrap_or(0.0);
            rate(long).min(rate(short))
        };
        vec![
            of("slo_burn_fast", both(Window::Hour, Window::FiveMinutes)),
            of("slo_burn_slow", both(Window::SixHours, Window::HalfHour)),
            of("slo_burn_steady", both(Window::ThreeDays, Window::SixHours)),
            of("slo_budget_left", self.budget_left),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(requests: u64, errors: u64) -> Sites {
        Sites::from([("shop".to_owned(), Site { requests, errors, ..Site::default() })])
    }

    fn errors(levels: &Levels, now: i64) -> Level {
        levels.state(now).into_iter().find(|level| level.objective == "errors").unwrap()
    }

    #[test]
    fn a_burst_of_errors_burns_fast_and_stops_burning_soon_after_it() {
        let mut levels = Levels::new(Config::default(), &[]);
        let start = 1_800_000_000;
        for minute in 0..60 {
            levels.add(&traffic(100, if minute >= 50 { 50 } else { 0 }), start + minute * 60);
        }
        let now = start + 59 * 60;
        let level = errors(&levels, now);
        // Five minutes at one half, an hour at a twelfth, of one in a hundred allowed.
        assert!((level.burn["5m"] - 50.0).abs() < 0.01, "{level:?}");
        assert!((level.burn["1h"] - 50.0 / 6.0).abs() < 0.01, "{level:?}");
        let fast = level.readings().into_iter().find(|reading| reading.name == "slo_burn_fast").unwrap();
        assert!((fast.value - 50.0 / 6.0).abs() < 0.01);
        let later = errors(&levels, now + 6 * 60);
        assert!(later.burn["5m"].abs() < 1e-9);
        assert!((later.budget_left - (1.0 - 500.0 / 6000.0 / 0.01)).abs() < 0.01, "{later:?}");
    }

    #[test]
    fn a_budget_outlives_the_daemon() {
        let (mut levels, now) = (Levels::new(Config::default(), &[]), 1_800_000_000);
        levels.add(&traffic(10_000, 50), now);
        let kept = levels.rows(now);
        let again = Levels::new(Config::default(), &kept);
        let level = errors(&again, now + 3600);
        assert_eq!((level.requests, level.reached), (10_000, Some(0.995)));
        assert!((level.budget_left - 0.5).abs() < 1e-9);
    }

    #[test]
    fn few_requests_say_nothing() {
        let (mut levels, now) = (Levels::new(Config::default(), &[]), 1_800_000_000);
        levels.add(&traffic(5, 5), now);
        assert!(errors(&levels, now).burn["5m"].abs() < 1e-9);
    }
}
