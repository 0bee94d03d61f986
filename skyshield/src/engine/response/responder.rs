//! Which rules what was seen calls for: a function of what was seen, counted over time.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::config::{Act, Config, Rule};
use crate::engine::indicators::Kind;

/// Sources that are counted at a time, over all rules; beyond it new ones are not, which is counted.
const ROOM: usize = 50_000;

/// A flagged request, as the rules see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Whose it is.
    pub address: IpAddr,
    /// Its score.
    pub score: f64,
    /// What was found: rules, and their classes.
    pub findings: Vec<(String, String)>,
    /// The route that took it.
    pub route: String,
    /// When, since some beginning.
    pub at: Duration,
}

/// Something that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The rule that says so.
    pub rule: String,
    /// What.
    pub act: Act,
    /// Whether it is only to be said.
    pub dry_run: bool,
}

/// The rules, and what they have counted.
#[derive(Debug)]
pub struct Responder {
    config: Config,
    counted: HashMap<(usize, IpAddr), Count>,
    refused: u64,
}

#[derive(Debug, Default)]
struct Count {
    seen: VecDeque<Duration>,
    quiet_until: Duration,
}

impl Responder {
    /// These rules, and nothing seen yet.
    pub fn new(config: Config) -> Self {
        Self { config, counted: HashMap::new(), refused: 0 }
    }

    /// What is to be done now that `seen` was; `confidence` says how sure the source's indicator of a kind is.
    pub fn consider(&mut self, seen: &Seen, confidence: impl Fn(Kind) -> f64) -> Vec<Due> {
        let mut due = Vec::new();
        for (at, rule) in self.config.rules.iter().enumerate() {
            if !is_meant(rule, seen, &confidence) {
                continue;
            }
            let key = (at, seen.address);
            if self.counted.len() >= ROOM && !self.counted.contains_key(&key) {
                self.refused += 1;
                continue;
            }
            let count = self.counted.entry(key).or_default();
            if seen.at < count.quiet_until {
                continue;
            }
            let within = Duration::from_secs(rule.when.within_secs);
            count.seen.retain(|before| seen.at.saturating_sub(*before) < within);
            count.seen.push_back(seen.at);
            if count.seen.len() < rule.when.count as usize {
                continue;
            }
            count.seen.clear();
            count.quiet_until = seen.at.saturating_add(Duration::from_secs(rule.cooldown_secs));
            due.extend(rule.then.iter().map(|act| Due {
                rule: rule.name.clone(),
                act: act.clone(),
                dry_run: rule.dry_run,
            }));
        }
        due
    }

    /// Forgets what no rule counts any more at `now`.
    pub fn forget(&mut self, now: Duration) {
        let rules = &self.config.rules;
        self.counted.retain(|(at, _), count| {
            let within = rules.get(*at).map_or(0, |rule| rule.when.within_secs);
            let last = count.seen.back().copied().unwrap_or_default();
            now < count.quiet_until || now.saturating_sub(last) < Duration::from_secs(within)
        });
    }

    /// Sources that were not counted for want of room.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

fn is_meant(rule: &Rule, seen: &Seen, confidence: &impl Fn(Kind) -> f64) -> bool {
    let when = &rule.when;
    let names = |wanted: &String, (rule, class): &(String, String)| {
        wanted == class
            || wanted == rule
            || wanted.strip_suffix('*').is_some_and(|start| rule.starts_with(start))
    };
    seen.score >= when.score
        && (when.routes.is_empty() || when.routes.contains(&seen.route))
        && (when.findings.is_empty()
            || when.findings.iter().any(|wanted| seen.findings.iter().any(|found| names(wanted, found))))
        && (when.indicators.is_empty()
            || when.indicators.iter().any(|kind| confidence(*kind) >= when.confidence))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn responder(rule: &str) -> Responder {
        Responder::new(Config { rules: vec![toml::from_str(rule).unwrap()] })
    }

    fn seen(address: &str, secs: u64) -> Seen {
        Seen {
            address: address.parse().unwrap(),
            score: 0.85,
            findings: vec![("sqli.union-select".to_owned(), "sqli".to_owned())],
            route: "default".to_owned(),
            at: Duration::from_secs(secs),
        }
    }

    #[test]
    fn so_many_of_one_source_within_a_time_and_then_quiet_for_a_while() {
        let mut responder = responder(
            "name = \"thrice\"\nwhen = { findings = [\"sqli.*\"], count = 3, within_secs = 10 }\n\
             then = [{ act = \"ban\", ttl_secs = 60 }, { act = \"notify\" }]\ncooldown_secs = 100\n",
        );
        let mut told = Vec::new();
        for (address, secs) in [
            ("45.0.0.1", 0),
            ("45.0.0.2", 1),
            ("45.0.0.1", 9),
            ("45.0.0.1", 10),
            ("45.0.0.1", 11),
            ("45.0.0.1", 12),
            ("45.0.0.1", 111),
            ("45.0.0.1", 112),
            ("45.0.0.1", 113),
        ] {
            let due = responder.consider(&seen(address, secs), |_| 0.0);
            if !due.is_empty() {
                told.push((secs, due.len()));
            }
        }
        assert_eq!(told, [(11, 2), (113, 2)]);
        responder.forget(Duration::from_secs(10_000));
        assert!(responder.counted.is_empty());
    }

    #[test]
    fn all_that_a_rule_names_has_to_be_true() {
        let rule = "name = \"a\"\nwhen = { score = 0.9, findings = [\"xss\"], routes = [\"admin\"], indicators = [\"user_agent\"] }\n\
                    then = [{ act = \"limit\" }]\ncooldown_secs = 0\n";
        let whole = Seen {
            score: 0.95,
            route: "admin".to_owned(),
            findings: vec![("xss.tag".to_owned(), "xss".to_owned())],
            ..seen("45.0.0.1", 0)
        };
        let sure = |kind| if kind == Kind::UserAgent { 0.7 } else { 0.0 };
        assert_eq!(responder(rule).consider(&whole, sure).len(), 1);
        for (less, confidence) in [
            (Seen { score: 0.8, ..whole.clone() }, 0.7),
            (Seen { route: "default".to_owned(), ..whole.clone() }, 0.7),
            (Seen { findings: Vec::new(), ..whole.clone() }, 0.7),
            (whole.clone(), 0.4),
        ] {
            assert!(responder(rule).consider(&less, |_| confidence).is_empty(), "{less:?}");
        }
    }

    #[test]
    fn a_flood_of_sources_is_counted_within_a_bound() {
        let mut responder =
            responder("name = \"a\"\nwhen = { score = 0.5, count = 2 }\nthen = [{ act = \"notify\" }]\n");
        for n in 0..60_000_u32 {
            let flood = Seen { address: IpAddr::V4((0x2d00_0000 + n).into()), ..seen("45.0.0.1", 0) };
            assert!(responder.consider(&flood, |_| 0.0).is_empty());
        }
        assert_eq!((responder.counted.len(), responder.refused()), (ROOM, 10_000));
    }
}
