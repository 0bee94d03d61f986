//! `skyshield replay`: recorded requests before the live configuration, in this process.

mod excepted;
mod family;
mod har;
mod log;
mod pcap;
mod read;
mod record;
mod split;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use super::{Failure, Replay, show};
use crate::clock;
use crate::config::Config;
use crate::engine::standing::Standing;
use crate::exceptions::Set;
use crate::forward_auth::Format;
use crate::inspect::Request;
use crate::rehearsal::{self, Became, Kept, Rerun, Tally, Told};
use crate::verdict::Settings;

pub(in crate::cli) use crate::rehearsal::Attacks;
pub(super) use excepted::exceptions;
pub(in crate::cli) use split::Split;

/// Sources that are told of at the most, the worst.
const MAX_SOURCES: usize = 1000;

/// What became of all requests.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    /// Exceptions that were heeded; none where no daemon said which there are.
    pub(super) exceptions: Option<usize>,
    pub(super) total: Tally,
    pub(super) categories: BTreeMap<String, Tally>,
    /// How many would have passed, been limited, refused, banned for, or not have arrived.
    pub(super) became: BTreeMap<&'static str, u64>,
    /// Who was not let alone, the worst first.
    pub(super) sources: Vec<Whose>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) split: Option<Split>,
}

/// A source, and what would have become of it.
#[derive(Debug, Serialize)]
pub(super) struct Whose {
    pub(super) source: IpAddr,
    #[serde(flatten)]
    pub(super) told: Told,
}

pub(super) fn obey(
    config: &Config,
    exceptions: Option<Set>,
    replay: &Replay,
    json: bool,
) -> Result<(), Failure> {
    let settings = Settings::new(&config.inspect, &config.risk, &config.routes);
    let refused =
        |settings: &Settings, request: &Request<'_>| settings.opinion(request, Standing::default()).refuses();
    let (count, heeded) = (exceptions.as_ref().map(Set::len), exceptions.unwrap_or_default());
    let sections = (&config.limits, &config.behaviour);
    let mut rerun = Rerun::new(
        (Settings::new(&config.inspect, &config.risk, &config.routes), heeded),
        sections,
        (&config.risk, &config.escalation),
        clock::now(),
    )
    .map_err(|error| Failure::Refused(error.to_string()))?;
    let mut outcome = Outcome { exceptions: count, ..Outcome::default() };
    let mut split = replay.split.then(Split::default);
    read::each(replay, |labelled| {
        let became = rerun.go(&labelled.recorded);
        *outcome.became.entry(name_of(became)).or_default() += 1;
        // Labelled requests are of nobody's, and each is looked at by itself.
        let refused = !matches!(became, Became::Passed | Became::Limited);
        let is_attack = labelled.is_attack();
        outcome.total.count(is_attack, refused);
        if let Some(split) = split.as_mut().filter(|_| is_attack) {
            labelled.recorded.with(|request| split.count(&settings, &labelled.category, request, refused));
        }
        outcome.categories.entry(labelled.category).or_default().count(is_attack, refused);
    })?;
    if let Some(split) = &mut split {
        let chosen = split.chosen(config);
        read::each(replay, |labelled| {
            if labelled.is_attack() {
                labelled.recorded.with(|request| {
                    split.count_by_chosen(&labelled.category, request, || refused(&chosen, request));
                });
            }
        })?;
    }
    outcome.split = split;
    let told = rerun.told().into_iter().take(MAX_SOURCES);
    outcome.sources = told.map(|(source, told)| Whose { source, told }).collect();
    show::replayed(&outcome, json);
    Ok(())
}

/// What `config` would have made of what the daemon has kept.
pub(super) fn against(config: &Config, kept: Value, json: bool) -> Result<(), Failure> {
    let kept: Vec<Kept> = serde_json::from_value(kept)
        .map_err(|error| Failure::Refused(format!("the daemon's answer is of another release: {error}")))?;
    let told = rehearsal::against(&kept, &config.inspect, &config.risk, &config.routes);
    show::against(&told, json);
    Ok(())
}

/// The format of an access log, by its name in the configuration.
pub(super) fn format(name: &str) -> Result<Format, String> {
    let named = serde_json::from_value(Value::String(name.to_owned()));
    named.map_err(|_| "there are json, combined, traefik, envoy and haproxy".to_owned())
}

fn name_of(became: Became) -> &'static str {
    match became {
        Became::Passed => "passed",
        Became::Limited => "limited",
        Became::Refused => "refused",
        Became::Banned => "banned",
        Became::Dropped => "dropped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Mode;
    use crate::rehearsal::Recorded;

    #[test]
    fn the_verdict_is_that_of_the_configuration() {
        let mut config = Config::default();
        let judged = |config: &Config, target: &str| {
            let settings = Settings::new(&config.inspect, &config.risk, &config.routes);
            let recorded = Recorded { target: target.into(), method: b"GET".to_vec(), ..Recorded::default() };
            recorded.with(|request| settings.opinion(request, Standing::default()).refuses())
        };
        assert!(judged(&config, "/?q=%3Cscript%3Ealert(1)"));
        assert!(!judged(&config, "/?q=hello there"));
        config.inspect.mode = Mode::Observe;
        assert!(!judged(&config, "/?q=%3Cscript%3Ealert(1)"));
    }
}
